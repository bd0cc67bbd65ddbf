-- Tells what a sealed configuration holds.
-- flags: no-writes
-- parts: acceptor
-- KEYS[1] prefix  ARGV: instance, configuration, then registers; without any: the names of all that have a value
-- Returns {'EXPORT', then for each register: n, proposer, digest, value} (0, 0, '', '' for none), or {'NAMES', names};
--   {'OPEN'} if it is not sealed; {'DROPPED'} if some of it was removed; {'CONFIGURATION', highest configuration} if it is
--   not known here; {'WRONGINSTANCE', id} or {'NOTADMITTED', run id}.
local no, latest = stranger()
if no then return no end
local state = CALL('HMGET', C, 'sealed', 'dropped')
if not state[1] then return {'CONFIGURATION', latest} end
if state[1] == '0' then return {'OPEN'} end
if state[2] then return {'DROPPED'} end
if #ARGV == 2 then
  local out = {'NAMES'}
  for i, name in ipairs(CALL('ZRANGE', C .. ':names', '(0', '+inf', 'BYSCORE')) do out[i + 1] = name end
  return out
end
local out = {'EXPORT'}
for i = 3, #ARGV do
  local _, _, an, ap, digest, value = register(ARGV[i])
  local at = #out
  out[at + 1], out[at + 2], out[at + 3], out[at + 4] = whole(an), whole(ap), digest, value
end
return out
