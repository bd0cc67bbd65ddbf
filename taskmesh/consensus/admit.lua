-- Makes an instance of an empty server, or lets one that was started anew answer again.
-- flags: allow-oom
-- KEYS[1] prefix  ARGV: the instance's id; the run id under which it was last admitted ('' to make one); the count it had at
--   least, in a server started anew; the boot id of its machine ('' if nobody knows); the run id of the server that was looked at
-- Returns {'ADMITTED', count}; {'WRONGINSTANCE', id}, {'OTHERRUN', run id} if it was admitted since or runs as another process
--   now, {'BEHIND', count} if it forgot.
local P, CALL = KEYS[1], redis.call
local A = P .. 'ac:'
local I = A .. 'instance'
local run = string.match(CALL('INFO', 'server'), 'run_id:(%w+)')
-- what comes late must not make an instance of a server that was emptied since, nor admit one that nobody looked at
if ARGV[5] ~= run then return {'OTHERRUN', run} end
local known = CALL('HMGET', I, 'id', 'run', 'count')
if not known[1] and ARGV[2] == '' then
  CALL('HSET', I, 'id', ARGV[1], 'run', run, 'boot', ARGV[4], 'count', '0')
  return {'ADMITTED', '0'}
end
if known[1] ~= ARGV[1] then return {'WRONGINSTANCE', known[1] or ''} end
if known[2] == run then return {'ADMITTED', known[3]} end
if known[2] ~= ARGV[2] then return {'OTHERRUN', known[2]} end
if tonumber(known[3]) < tonumber(ARGV[3]) then return {'BEHIND', known[3]} end
CALL('HSET', I, 'run', run, 'boot', ARGV[4])
return {'ADMITTED', known[3]}
