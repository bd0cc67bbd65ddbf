-- The liveness of workers: one counter per incarnation, watched by the others.
-- flags: allow-oom
-- parts: epoch, moves, buckets, sweep
-- KEYS[1] prefix  ARGV: epoch, now_ms, what, incarnation, ...
--   register: info (JSON)      -> 1
--   tell: info (JSON)          -> 1 it is known now, 0 the incarnation does not live
--   beat: seconds to sweep ahead, what it publishes ('' = nothing new) -> flat list: incarnation, beat, state ... of every worker
--   declare: the beat that stood still -> 1 declared dead now, 0 it moved on or is gone
--   bury:                      -> 1 when nothing is left of it, 0 while it still holds messages
--   children:                  -> the child parts of its holders
-- Errors: DEADWORKER for the beat of a worker that was declared dead.
local what, incarnation = ARGV[3], ARGV[4]
local key = P .. 'w:' .. incarnation
if what == 'register' then
  CALL('HSET', key, 'state', 'live', 'beat', '1', 'info', ARGV[5])
  CALL('SADD', P .. 'workers', incarnation)
  return 1
elseif what == 'tell' then
  if CALL('HGET', key, 'state') ~= 'live' then return 0 end
  CALL('HSET', key, 'info', ARGV[5])
  return 1
elseif what == 'beat' then
  local state = CALL('HGET', key, 'state')
  if state ~= 'live' then return redis.error_reply('DEADWORKER ' .. (state or 'unknown')) end
  CALL('HINCRBY', key, 'beat', 1)
  if ARGV[6] and ARGV[6] ~= '' then CALL('HSET', key, 'report', ARGV[6]) end
  sweep(1000, tonumber(ARGV[5]))
  local out, all = {}, CALL('SMEMBERS', P .. 'workers')
  for i = 1, #all do
    local other = CALL('HMGET', P .. 'w:' .. all[i], 'beat', 'state')
    out[#out + 1] = all[i]
    out[#out + 1] = other[1] or '0'
    out[#out + 1] = other[2] or 'gone'
  end
  return out
elseif what == 'declare' then
  local known = CALL('HMGET', key, 'state', 'beat')
  if known[1] == 'live' and known[2] == ARGV[5] then
    CALL('HSET', key, 'state', 'dead')
    return 1
  end
  return 0
end
local children = {}
for _, field in ipairs(CALL('HKEYS', key)) do
  if string.sub(field, 1, 1) == 's' and #field == 7 then children[#children + 1] = string.sub(field, 2) end
end
if what == 'children' then return children end
for i = 1, #children do
  if CALL('EXISTS', P .. 'run:' .. incarnation .. children[i]) == 1 then return 0 end
end
for i = 1, #children do CALL('UNLINK', P .. 'wake:' .. incarnation .. children[i]) end
CALL('UNLINK', key, P .. 'control:' .. incarnation)
CALL('SREM', P .. 'workers', incarnation)
return 1
