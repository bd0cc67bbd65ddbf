-- Keeps copies: what the primaries of their slots changed, the newer one of each record.
-- flags: allow-oom
-- parts: copies, moves, buckets, finish, short, coming
-- KEYS[1] prefix  ARGV: epoch, now_ms, then entries, each with its kind first:
--   'w' id, record, what stands beside it ('' = nothing)
--   'i' id, bytes of the record, head (108), what stands beside it: the record has come in pieces (see `take_piece.lua`)
--   'h' id, the version on which the change stands, head (108 bytes): the rest of the record stayed as it was
--   'b' name (rv, tellings, parked), id, version, value: noted beside a record of that version
--   'f' content hash, function
--   'p' channel, notice: published if this node has now all that stood before it
-- Returns a string, a letter per entry: 'o' it is here, or something newer; 'n' the whole record is needed, or a piece of it;
--   'F' the function of that record is needed first; '-' not published.
-- In which order changes arrive does not matter: versions only grow.
local REMEMBER_MS = 600000
local R = P .. 'r:'
-- head, queue, channel and function hash, whatever their lengths; neither outcome nor envelope
local HEAD_AND_NAMES = 108 + 3 * 255 - 1
local answer, all_here = {}, true

local function number(record, first, last)
  return tonumber(string.sub(record, first, last), 16) or 0
end

-- Whether a record, by its head, is final for so long that it may have been forgotten here.
local function may_be_forgotten(head)
  local kept_ms = math.max(number(head, 87, 94) * 1000, REMEMBER_MS)
  return is_final(string.sub(head, 2, 2)) and number(head, 75, 86) + kept_ms <= NOW
end

local function function_of(record)
  local first = 109 + number(record, 103, 104) + number(record, 105, 106)
  return string.sub(record, first, first + number(record, 107, 108) - 1)
end

local function revoke_flag(flags)
  return string.format('%x', math.floor(flags / 4) * 4 + 2 + flags % 2)
end

-- One change that came twice, or a part of which did: a revoke that was asked for meanwhile, a moment.
local function same_version(id, old, new)
  local flags = number(new, 62, 62)
  if math.floor(number(old, 62, 62) / 2) % 2 == 1 and math.floor(flags / 2) % 2 == 0 then
    new = string.sub(new, 1, 61) .. revoke_flag(flags) .. string.sub(new, 63)
  end
  if not is_final(string.sub(new, 2, 2)) then CALL('SET', R .. id, new) end
end

-- What the indexes get, written together at the end: ids by slot that are live, no more final, or final, and by their time to live.
local LIVE, LIVE_AGAIN, FINAL, KEPT_FOR, ENDED_IDS = {}, {}, {}, {}, {}

local function index(id, old, new)
  local slot = string.sub(new, 53, 56)
  if is_final(string.sub(new, 2, 2)) then
    add_to(FINAL, slot, id)
    add_to(KEPT_FOR, string.sub(new, 87, 94), id)
    ENDED_IDS[#ENDED_IDS + 1] = id
  elseif not old then
    add_to(LIVE, slot, id)
  elseif is_final(string.sub(old, 2, 2)) then
    -- that end never counted: too few copies had it when the view changed, and by the next one the message went on
    add_to(LIVE_AGAIN, slot, id)
  end
  local had, has = old and function_of(old) or '', function_of(new)
  if had ~= has then
    if has ~= '' then CALL('HINCRBY', P .. 'fnref', has, 1) end
    if had ~= '' then let_go_of(had) end
  end
end

local function write_indexes()
  for slot, ids in pairs(LIVE) do CALL('SADD', P .. 'L:' .. slot, unpack(ids)) end
  for slot, ids in pairs(LIVE_AGAIN) do
    CALL('SREM', P .. 'F:' .. slot, unpack(ids))
    CALL('SADD', P .. 'L:' .. slot, unpack(ids))
  end
  for slot, ids in pairs(FINAL) do
    CALL('SREM', P .. 'L:' .. slot, unpack(ids))
    CALL('SADD', P .. 'F:' .. slot, unpack(ids))
  end
  for ttl, ids in pairs(KEPT_FOR) do remove_in(minute_after(tonumber(ttl, 16) or 3600), ids) end
  if #ENDED_IDS > 0 and CALL('EXISTS', P .. 'rv', P .. 'tellings', P .. 'parked', P .. 'coming') > 0 then
    CALL('HDEL', P .. 'rv', unpack(ENDED_IDS))
    CALL('HDEL', P .. 'tellings', unpack(ENDED_IDS))
    CALL('HDEL', P .. 'parked', unpack(ENDED_IDS))
    for i = 1, #ENDED_IDS do drop_outdated(ENDED_IDS[i]) end
  end
end

-- An outcome is here again that this node had dropped, and with it what only who leads its slot lists.
local function index_again(id, old, new)
  index(id, old, new)
  local own = CALL('GET', P .. 'own') or ''
  local leads = string.byte(own, number(new, 53, 56) + 1) == 49
  if leads and string.sub(new, 2, 2) == 'D' then CALL('ZADD', P .. 'dead', number(new, 75, 86), id) end
end

local function whole(id, new, side)
  local old = CALL('GETRANGE', R .. id, 0, HEAD_AND_NAMES)
  if old == '' then old = nil end
  local misses = false
  if old then
    local known, version = string.sub(old, 3, 10), string.sub(new, 3, 10)
    misses = known == version and number(new, 95, 102) > 0 and misses_outcome(old)
    if known == version and not misses then same_version(id, old, new) end
    if known >= version and not misses then return 'o' end
  elseif may_be_forgotten(new) then
    return 'o'
  end
  local hash = function_of(new)
  if hash ~= '' and CALL('EXISTS', P .. 'fn:' .. hash) == 0 then return 'F' end
  CALL('SET', R .. id, new)
  if side ~= '' then CALL('HSET', P .. 'side', id, side) end
  if misses then index_again(id, old, new) else index(id, old, new) end
  return 'o'
end

local function head_only(id, base, head)
  local old = CALL('GETRANGE', R .. id, 0, 107)
  if old == '' then
    return may_be_forgotten(head) and 'o' or 'n'
  end
  local known, version = string.sub(old, 3, 10), string.sub(head, 3, 10)
  if known > version then return 'o' end
  if known == version then
    local flags = number(head, 62, 62)
    if math.floor(flags / 2) % 2 == 1 and math.floor(number(old, 62, 62) / 2) % 2 == 0 then
      CALL('SETRANGE', R .. id, 61, string.sub(head, 62, 62))
    end
    if not is_final(string.sub(head, 2, 2)) then CALL('SETRANGE', R .. id, 74, string.sub(head, 75, 86)) end
    return 'o'
  end
  if known ~= base or is_final(string.sub(head, 2, 2)) then return 'n' end
  CALL('SETRANGE', R .. id, 0, head)
  return 'o'
end

-- Put a record that has come in pieces where it belongs; by the same rule as one that comes whole.
local function come(id, size, head, side)
  local old, version = CALL('GETRANGE', R .. id, 0, HEAD_AND_NAMES), string.sub(head, 3, 10)
  drop_outdated(id)
  local known, stands = string.sub(old, 3, 10), coming(id)
  local misses = known == version and misses_outcome(old)
  if known >= version and not misses then return head_only(id, version, head) end
  if old == '' and may_be_forgotten(head) then return 'o' end
  if stands ~= EPOCH .. version .. size then return 'n' end
  if CALL('STRLEN', P .. 'c:' .. id) ~= tonumber(size) then return 'n' end
  local new = head .. CALL('GETRANGE', P .. 'c:' .. id, 108, HEAD_AND_NAMES)
  local hash = function_of(new)
  if hash ~= '' and CALL('EXISTS', P .. 'fn:' .. hash) == 0 then return 'F' end
  CALL('RENAME', P .. 'c:' .. id, R .. id)
  CALL('SETRANGE', R .. id, 0, head)
  drop_coming(id)
  if side ~= '' then CALL('HSET', P .. 'side', id, side) end
  if misses then index_again(id, old, new) else index(id, old ~= '' and old or nil, new) end
  return 'o'
end

local function beside(name, id, version, value)
  local known = CALL('GETRANGE', R .. id, 2, 9)
  if known > version then return 'o' end
  if known ~= version then return 'n' end
  if name == 'rv' then
    local flags = tonumber(CALL('GETRANGE', R .. id, 61, 61), 16) or 0
    if math.floor(flags / 2) % 2 == 0 then CALL('SETRANGE', R .. id, 61, string.format('%x', flags + 2)) end
  end
  CALL('HSET', P .. name, id, value)
  return 'o'
end

local at = 3
while at <= #ARGV do
  local kind, letter = ARGV[at], 'o'
  if kind == 'w' then
    letter = whole(ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
    at = at + 4
  elseif kind == 'i' then
    letter = come(ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
    at = at + 5
  elseif kind == 'h' then
    letter = head_only(ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
    at = at + 4
  elseif kind == 'b' then
    letter = beside(ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
    at = at + 5
  elseif kind == 'f' then
    if CALL('EXISTS', P .. 'fn:' .. ARGV[at + 1]) == 0 then CALL('SET', P .. 'fn:' .. ARGV[at + 1], ARGV[at + 2]) end
    at = at + 3
  elseif kind == 'p' then
    if all_here then CALL('PUBLISH', P .. 'n:' .. ARGV[at + 1], ARGV[at + 2]) else letter = '-' end
    at = at + 3
  else
    return redis.error_reply('BADENTRY ' .. kind)
  end
  if letter ~= 'o' then all_here = false end
  answer[#answer + 1] = letter
end
write_indexes()
return table.concat(answer)
