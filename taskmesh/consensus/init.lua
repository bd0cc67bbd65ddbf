-- Opens a configuration on an instance that is a member of it.
-- flags: allow-oom
-- parts: acceptor
-- KEYS[1] prefix  ARGV: instance, configuration, its members; the highest configuration that it knows so far ('' for any)
-- Returns {'OPEN'}, also when it was open before; {'SEALED', highest configuration} if it has passed it, or knows another
--   than was said; {'WRONGINSTANCE', id} or {'NOTADMITTED', run id};
--   {'OTHERMEMBERS', members} if it was opened with others, which must never be.
local no, latest = stranger()
if no then return no end
local state = CALL('HMGET', C, 'sealed', 'members')
if state[1] then
  if state[2] ~= ARGV[3] then return {'OTHERMEMBERS', state[2]} end
  if state[1] == '1' then return {'SEALED', latest} end
  return {'OPEN'}
end
-- one that this instance has passed is not opened any more, whatever message comes late
if tonumber(ARGV[2]) < tonumber(latest) or (ARGV[4] or '') ~= '' and ARGV[4] ~= latest then return {'SEALED', latest} end
count()
CALL('HSET', C, 'sealed', '0', 'members', ARGV[3])
CALL('HSET', I, 'configuration', ARGV[2])
return {'OPEN'}
