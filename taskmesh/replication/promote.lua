-- Rebuilds what stands on a primary only, for messages of a slot which this node is to lead, in steps. Lines follow when all
-- its slots were gone through: see `promote_lines.lua`.
-- flags: allow-oom
-- parts: epoch, moves, late, gates
-- KEYS[1] prefix  ARGV: epoch, now_ms, slot (4 hex), 'L' those that are not final, 'F' those that are, or 'P' those that are ready, of a
--   slot that the node led until now: its lines were forgotten, and nothing else; cursor ('0' = begin), about how many
-- Returns the cursor of the next step; '0' = that was all. A repeat changes nothing.
begin_to_gather()
local cursor, ids = unpack(CALL('SSCAN', (ARGV[4] == 'F' and P .. 'F:' or P .. 'L:') .. ARGV[3], ARGV[5], 'COUNT', ARGV[6]))
local lines_only = ARGV[4] == 'P'
if #ids == 0 then return cursor end

-- head and queue, whatever the length of that; not the envelope
local HEAD_AND_QUEUE = 108 + 255
local NO_CLAIM = string.rep('0', 42)

-- What of a message stands outside its record: expires_ms, unique, 's' or 'f', until, idempotency, given_for, task, sequence,
-- position
local function split(side)
  local fields = {}
  for field in string.gmatch(side .. '|', '([^|]*)|') do fields[#fields + 1] = field end
  for i = 1, 9 do fields[i] = fields[i] or '' end
  return unpack(fields, 1, 9)
end

-- Of two that have the key, one took it when the time of the other was over.
local function hold_unique(id, digest, mode, until_ms, started)
  if mode == 's' then
    if started then return end
    CALL('HSET', P .. 'us', id, digest)
  end
  if tonumber(until_ms, 16) <= NOW then return end
  local taken = CALL('HGET', P .. 'uq', digest)
  if taken and string.sub(taken, 13) ~= id and string.sub(taken, 1, 12) > until_ms then return end
  CALL('HSET', P .. 'uq', digest, until_ms .. id)
end

local function created(id) return CALL('GETRANGE', P .. 'r:' .. id, 62, 73) end

-- Of two that have the key, the later one was sent in place of the other.
local function lead_here(id, digest, given_for, task)
  local known = CALL('HGET', P .. 'ik', digest)
  local other = known and string.match(string.sub(known, 33), '^[^ ]*')
  if other and other ~= id then
    if created(other) > created(id) then return end
    CALL('HDEL', P .. 'ikid', other)
  end
  CALL('HSET', P .. 'ik', digest, given_for .. id .. ' ' .. task)
  CALL('HSET', P .. 'ikid', id, digest)
end

-- A holder that never spoke to this node must be known here, or nobody would ever find it dead.
local function make_known(holder)
  local incarnation = string.sub(holder, 1, 16)
  local worker = P .. 'w:' .. incarnation
  if CALL('HSETNX', worker, 'state', 'live') == 1 then CALL('HSET', worker, 'beat', '0', 'info', '') end
  CALL('HSETNX', worker, 's' .. string.sub(holder, 17), '00000000')
  CALL('SADD', P .. 'workers', incarnation)
end

local function runs(id, rec)
  local holder = string.sub(rec, 23, 44)
  local run, field = P .. 'run:' .. holder, '~' .. ARGV[3] .. string.sub(rec, 45, 52)
  local held = CALL('HGET', run, field)
  if held and string.find('\n' .. held .. '\n', '\n' .. id .. '\n', 1, true) then return end
  CALL('HSET', run, field, held and held .. '\n' .. id or id)
  make_known(holder)
end

-- what all of a step have in common is written once
local queues, gathered, delayed = {}, {}, {}

local function note(list, moment, member)
  local n = #list
  list[n + 1], list[n + 2] = moment, member
end

local function write_down(index, list)
  -- Lua can pass no more than some thousand arguments. What a promotion that was broken off has put into its line stays marked.
  for first = 1, #list, 2000 do CALL('ZADD', index, 'NX', unpack(list, first, math.min(first + 1999, #list))) end
end

local sides = not lines_only and CALL('EXISTS', P .. 'side') == 1 and CALL('HMGET', P .. 'side', unpack(ids)) or {}
for i = 1, #ids do
  local id = ids[i]
  local rec = CALL('GETRANGE', P .. 'r:' .. id, 0, HEAD_AND_QUEUE - 1)
  local state = string.sub(rec, 2, 2)
  local queue = string.sub(rec, 109, 108 + (tonumber(string.sub(rec, 103, 104), 16) or 0))
  local moment = tonumber(string.sub(rec, 75, 86), 16) or 0
  local live = #rec >= 108 and not is_final(state)
  local hint = id .. ':' .. string.sub(rec, 3, 10)
  if sides[i] and #rec >= 108 then
    local expires, unique, mode, until_ms, idempotency, given_for, task, sequence, position = split(sides[i])
    if idempotency ~= '' then lead_here(id, idempotency, given_for, task) end
    if live then
      if expires ~= '' then CALL('ZADD', P .. 'e', expires, id) end
      if unique ~= '' then hold_unique(id, unique, mode, until_ms, string.sub(rec, 11, 52) ~= NO_CLAIM) end
      if sequence ~= '' then CALL('ZADD', P .. 'sq:' .. sequence, position, id) end
      local gates = (unique ~= '' and 'u' .. unique or '') .. (sequence ~= '' and 's' .. sequence or '')
      if gates ~= '' then CALL('HSET', P .. 'gate', id, gates) end
    end
  end
  if live then
    queues[queue] = true
    if state == 'P' then
      local line = queue .. ':' .. string.sub(rec, 61, 61)
      note(gathered, tonumber(string.sub(rec, 63, 74), 16) or 0, line .. '\n' .. hint)
    elseif state == 'T' and not lines_only then
      runs(id, rec)
    elseif not lines_only then
      note(delayed, moment, hint)
    end
  elseif state == 'D' and not lines_only and (tonumber(string.sub(rec, 95, 102), 16) or 0) > 0 then
    CALL('ZADD', P .. 'dead', moment, id)
  end
end
for queue in pairs(queues) do CALL('SADD', P .. 'queues', queue) end
write_down(P .. 'gathered', gathered)
write_down(P .. 'd', delayed)
return cursor
