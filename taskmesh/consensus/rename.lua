-- Makes another instance of a server that was started anew and does not take part: what it forgot part of is removed.
-- flags: allow-oom
-- KEYS[1] prefix  ARGV: the id of the instance that it was ('' for none); the id of the new one; how it keeps its data and since
--   which start of its machine; the run id of the server that was looked at
-- Returns {'RENAMED', id}; {'WRONGINSTANCE', id} if it is another one; {'OTHERRUN', run id} if it runs as another process now;
--   {'ADMITTED', id} if it takes part.
local P, CALL = KEYS[1], redis.call
local A = P .. 'ac:'
local I = A .. 'instance'
local run = string.match(CALL('INFO', 'server'), 'run_id:(%w+)')
if ARGV[4] ~= run then return {'OTHERRUN', run} end
local known = CALL('HMGET', I, 'id', 'run', 'configuration')
if (known[1] or '') ~= ARGV[1] then return {'WRONGINSTANCE', known[1] or ''} end
if known[2] == run then return {'ADMITTED', known[1]} end
-- nobody may find half of what was: neither by the old name, which is gone, nor by chance in a later configuration
for c = tonumber(known[3] or '0'), 1, -1 do
  local C = A .. string.format('%d', c)
  for _, name in ipairs(CALL('ZRANGE', C .. ':names', '0', '-1')) do CALL('UNLINK', C .. ':r:' .. name) end
  CALL('DEL', C, C .. ':names')
end
CALL('DEL', I)
CALL('HSET', I, 'id', ARGV[2], 'run', run, 'boot', ARGV[3], 'count', '0')
return {'RENAMED', ARGV[2]}
