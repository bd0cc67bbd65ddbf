-- Ends a configuration for ever on this acceptor: no ballot of it is promised or accepted any more.
-- flags: allow-oom
-- KEYS[1] prefix  ARGV: instance, configuration
-- Returns {'SEALED', count}; {'CONFIGURATION', highest configuration} if it is not known here; {'WRONGINSTANCE', id} or {'NOTADMITTED', run id}.
local P = KEYS[1] .. 'ac:'
local CALL = redis.call
local I, C = P .. 'instance', P .. ARGV[2]
local known = CALL('HMGET', I, 'id', 'run', 'configuration')
if known[1] ~= ARGV[1] then return {'WRONGINSTANCE', known[1] or ''} end
if known[2] ~= string.match(CALL('INFO', 'server'), 'run_id:(%w+)') then return {'NOTADMITTED', known[2] or ''} end
local sealed = CALL('HGET', C, 'sealed')
if not sealed then return {'CONFIGURATION', known[3] or '0'} end
if sealed == '0' then
  CALL('HINCRBY', I, 'count', 1)
  CALL('HSET', C, 'sealed', '1')
end
return {'SEALED', CALL('HGET', I, 'count')}
