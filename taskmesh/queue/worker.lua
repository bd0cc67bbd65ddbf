-- The liveness of workers: one counter per incarnation, watched by the others.
-- flags: allow-oom
-- parts: epoch, moves, buckets, sweep
-- KEYS[1] prefix  ARGV: epoch, now_ms, what, incarnation, ...
--   register: info (JSON)      -> 1
--   tell: info (JSON)          -> 1 it is known now, 0 the incarnation does not live
--   beat: seconds to sweep ahead, what it publishes ('' = nothing new), how many it watches -> flat list: incarnation, beat,
--     state ... of so many workers that come behind it on a ring: so each is watched by as many, and no beat reads all of them
--   declare: the beat that stood still -> 1 declared dead now, 0 it moved on or is gone
--   bury:                      -> 1 when nothing is left of it, 0 while it still holds messages
--   children:                  -> the child parts of its holders
-- Errors: DEADWORKER for the beat of a worker that was declared dead.
local what, incarnation = ARGV[3], ARGV[4]
local key = P .. 'w:' .. incarnation
local function place(name) return string.format('%.0f', tonumber(string.sub(name, 4), 16) or 0) end
if what == 'register' then
  CALL('HSET', key, 'state', 'live', 'beat', '1', 'info', ARGV[5])
  CALL('SADD', P .. 'workers', incarnation)
  CALL('ZADD', P .. 'ring', place(incarnation), incarnation)
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
  if CALL('ZCARD', P .. 'ring') < CALL('SCARD', P .. 'workers') then
    -- some became known when a node took over from another
    for _, known in ipairs(CALL('SMEMBERS', P .. 'workers')) do CALL('ZADD', P .. 'ring', place(known), known) end
  end
  local many, from = tonumber(ARGV[7]), place(incarnation)
  local watched = CALL('ZRANGEBYSCORE', P .. 'ring', '(' .. from, '+inf', 'LIMIT', 0, many)
  if #watched < many then
    local others = CALL('ZRANGEBYSCORE', P .. 'ring', '-inf', from, 'LIMIT', 0, many - #watched)
    for i = 1, #others do watched[#watched + 1] = others[i] end
  end
  local out = {}
  for i = 1, #watched do
    local other = CALL('HMGET', P .. 'w:' .. watched[i], 'beat', 'state')
    out[#out + 1] = watched[i]
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
CALL('ZREM', P .. 'ring', incarnation)
return 1
