-- Opens a configuration on an instance that is a member of it.
-- flags: allow-oom
-- KEYS[1] prefix  ARGV: instance, configuration, its members
-- Returns {'OPEN'}, also when it was open before; {'SEALED', highest configuration}; {'WRONGINSTANCE', id} or {'NOTADMITTED', run id};
--   {'OTHERMEMBERS', members} if it was opened with others, which must never be.
local P = KEYS[1] .. 'ac:'
local CALL = redis.call
local I, C = P .. 'instance', P .. ARGV[2]
local known = CALL('HMGET', I, 'id', 'run', 'configuration')
if known[1] ~= ARGV[1] then return {'WRONGINSTANCE', known[1] or ''} end
if known[2] ~= string.match(CALL('INFO', 'server'), 'run_id:(%w+)') then return {'NOTADMITTED', known[2] or ''} end
local state = CALL('HMGET', C, 'sealed', 'members')
if state[1] then
  if state[2] ~= ARGV[3] then return {'OTHERMEMBERS', state[2]} end
  if state[1] == '1' then return {'SEALED', known[3] or '0'} end
  return {'OPEN'}
end
-- one that was dropped is not opened again, whatever message comes late
if tonumber(ARGV[2]) < tonumber(known[3] or 0) then return {'SEALED', known[3] or '0'} end
CALL('HINCRBY', I, 'count', 1)
CALL('HSET', C, 'sealed', '0', 'members', ARGV[3])
CALL('HSET', I, 'configuration', ARGV[2])
return {'OPEN'}
