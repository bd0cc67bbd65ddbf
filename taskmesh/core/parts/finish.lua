-- Makes records final. `final` returns the new record, which the caller writes; `finish_all` then
-- writes the indexes of the whole batch at once and sends one notice per channel.
-- What neighbours of a batch share (widths, names, times to live) is worked out once.
local NOW12 = string.format('%012x', NOW)
local DEAD_TTL  -- how long a dead letter is kept, s, 8 hex digits; set by scripts that make them
local SHAPES, LEAVING, NOTICES, KEPT, LENGTHS, ENDED = {}, {}, {}, {}, {}, 0

local function length_of(out)
  local length = LENGTHS[#out]
  if not length then
    length = string.format('%08x', #out)
    LENGTHS[#out] = length
  end
  return length
end

-- The names in a record: where they end, queue, channel's notices, function hash, counts by state.
local function names_of(rec)
  local widths = string.sub(rec, 103, 108)
  local shape = SHAPES[widths]
  if not shape then
    local q = tonumber(string.sub(widths, 1, 2), 16) or 0
    local c = tonumber(string.sub(widths, 3, 4), 16) or 0
    local f = tonumber(string.sub(widths, 5, 6), 16) or 0
    shape = {q = q, c = c, stop = 108 + q + c + f, found = {}}
    SHAPES[widths] = shape
  end
  local names = string.sub(rec, 109, shape.stop)
  local found = shape.found[names]
  if not found then
    local channel = string.sub(names, shape.q + 1, shape.q + shape.c)
    found = {
      stop = shape.stop,
      kept = string.sub(widths, 1, 4) .. '00' .. string.sub(names, 1, shape.q + shape.c),
      whole = widths .. names,
      queue = string.sub(names, 1, shape.q),
      hash = string.sub(names, shape.q + shape.c + 1),
      counts = {},
    }
    if channel ~= '' then
      NOTICES[channel] = NOTICES[channel] or {}
      found.notices = NOTICES[channel]
    end
    shape.found[names] = found
  end
  return found
end

local function add_to(tables, name, value)
  local list = tables[name]
  if list then list[#list + 1] = value else tables[name] = {value} end
end

-- Flags of a record (a hex digit) that hold "revoke requested" (2).
local REVOKE_REQUESTED = '2367abef'

local function minute_after(ttl_s)
  return math.floor((NOW + ttl_s * 1000) / 60000) + 1
end

-- One record less refers to the function; with the last it is kept for another hour, in case it is sent again.
local function let_go_of(hash)
  if CALL('HINCRBY', P .. 'fnref', hash, -1) <= 0 then
    local minute = minute_after(3600)
    CALL('RPUSH', P .. 'xf:' .. minute, hash)
    CALL('ZADD', P .. 'xb', minute, minute)
  end
end

-- A record whose head cannot be read ends with one that can, so that people and callers learn why it ended.
local HEAD = '^1%u' .. string.rep('[0-9a-z]', 8) .. string.rep('%x', 98) .. '$'
local function mended(rec)
  local names = names_of(rec)
  local length = tonumber(string.sub(rec, 95, 102), 16)
  if string.find(string.sub(rec, 1, 108), HEAD) and #rec >= names.stop + length then return rec end
  -- slot 0, attempt 1, priority 4, an hour; the queue that there always is
  return string.sub(rec, 1, 52) .. '0000' .. '0100' .. '40' .. string.rep('0', 24) .. '00000e10' .. '00000000'
    .. '070000' .. 'default'
end

local function final(id, rec, op, out)
  if op == 'D' then rec = mended(rec) end
  local names = names_of(rec)
  local length = length_of(out)
  local ttl = op == 'D' and DEAD_TTL or string.sub(rec, 87, 94)
  ENDED = ENDED + 1
  add_to(LEAVING, string.sub(rec, 53, 56), id)
  add_to(KEPT, ttl, id)
  names.counts[op] = (names.counts[op] or 0) + 1
  if string.find(REVOKE_REQUESTED, string.sub(rec, 62, 62), 1, true) then CALL('HDEL', P .. 'rv', id) end
  local notices = names.notices
  if notices then
    local n = #notices
    notices[n + 1] = length
    notices[n + 2] = out
    -- who waits reads it instead
    if LARGE_BYTES and #out > LARGE_BYTES then notices[n + 1], notices[n + 2] = '00000000', '' end
  end
  local head = '1' .. op .. version_after(string.sub(rec, 3, 10)) .. string.sub(rec, 11, 74) .. NOW12 .. ttl .. length
  if string.find(KEEPS_ENVELOPE, op, 1, true) then
    if op == 'D' then CALL('ZADD', P .. 'dead', NOW, id) end
    local old = tonumber(string.sub(rec, 95, 102), 16) or 0
    return head .. names.whole .. out .. string.sub(rec, names.stop + 1 + old)
  end
  if names.hash ~= '' then let_go_of(names.hash) end
  return head .. names.kept .. out
end

-- A message of a sequence is final: if it had its turn, the next one has it now.
local function end_turn(digest, id)
  local line = P .. 'sq:' .. digest
  local had_turn = CALL('ZRANGE', line, 0, 0)[1] == id
  if CALL('ZREM', line, id) == 0 then return end
  if not had_turn then
    CALL('SREM', P .. 'blk:' .. queue_of(CALL('GET', P .. 'r:' .. id) or ''), id)
    return
  end
  while true do
    local heir = CALL('ZRANGE', line, 0, 0)[1]
    if not heir then return end
    local rec = CALL('GET', P .. 'r:' .. heir)
    if rec then CALL('SREM', P .. 'blk:' .. queue_of(rec), heir) end
    if rec and not is_final(string.sub(rec, 2, 2)) then
      if string.sub(rec, 2, 2) == 'P' then make_ready(heir, rec, false) end
      return
    end
    -- ended by this very script, or lost
    CALL('ZREM', line, heir)
  end
end

-- Let go of what the keys of final messages hold. Their records must have been written.
local function open_gates(ids)
  local held = CALL('HMGET', P .. 'gate', unpack(ids))
  for i = 1, #ids do
    local id = ids[i]
    if held[i] then
      CALL('HDEL', P .. 'gate', id)
      for kind, digest in string.gmatch(held[i], '([us])(%x+)') do
        if kind == 'u' then
          let_go_of_key(digest, id)
          CALL('HDEL', P .. 'us', id)
        else
          end_turn(digest, id)
        end
      end
    end
  end
end

local function tell_callers()
  for channel, pieces in pairs(NOTICES) do
    if #pieces > 0 then CALL('PUBLISH', P .. 'n:' .. channel, table.concat(pieces)) end
  end
end

-- Tell once more how a message ended: in a mesh of several, what was to be told is lost when too few copies had it before the view
-- changed. Returns whether anybody waits.
local function tell_again(rec)
  local names = names_of(rec)
  local notices = is_final(string.sub(rec, 2, 2)) and names.notices
  if not notices then return false end
  local length = string.sub(rec, 95, 102)
  local size, n = tonumber(length, 16) or 0, #notices
  if size > LARGE_BYTES then length, size = '00000000', 0 end
  notices[n + 1], notices[n + 2] = length, string.sub(rec, names.stop + 1, names.stop + size)
  return true
end

local function finish_all()
  -- asked together: in most meshes there is none of them
  local some = CALL('EXISTS', P .. 'e', P .. 'gate', P .. 'tellings') > 0
  local expiring = some and CALL('EXISTS', P .. 'e') == 1
  local telling = some and CALL('EXISTS', P .. 'tellings') == 1
  if some and CALL('EXISTS', P .. 'gate') == 1 then
    for _, ids in pairs(LEAVING) do open_gates(ids) end
  end
  for slot, ids in pairs(LEAVING) do
    CALL('SREM', P .. 'L:' .. slot, unpack(ids))
    if expiring then CALL('ZREM', P .. 'e', unpack(ids)) end
    if telling then CALL('HDEL', P .. 'tellings', unpack(ids)) end
  end
  for ttl, ids in pairs(KEPT) do
    local minute = minute_after(tonumber(ttl, 16) or 3600)
    remove_in(minute, ids)
  end
  for _, shape in pairs(SHAPES) do
    for _, found in pairs(shape.found) do
      for op, n in pairs(found.counts) do CALL('HINCRBY', P .. 'stats', found.queue .. ':' .. op, n) end
    end
  end
  tell_callers()
end
