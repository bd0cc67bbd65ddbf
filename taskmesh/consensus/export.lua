-- Tells what a sealed configuration holds.
-- flags: no-writes
-- KEYS[1] prefix  ARGV: instance, configuration, then registers; without any: the names of all
-- Returns {'EXPORT', then for each register: n, proposer, digest, value} (0, 0, '', '' for none), or {'NAMES', names};
--   {'OPEN'} if it is not sealed; {'CONFIGURATION', highest configuration} if it is not known here; {'WRONGINSTANCE', id} or {'NOTADMITTED', run id}.
local P = KEYS[1] .. 'ac:'
local CALL = redis.call
local I, C = P .. 'instance', P .. ARGV[2]
local known = CALL('HMGET', I, 'id', 'run', 'configuration')
if known[1] ~= ARGV[1] then return {'WRONGINSTANCE', known[1] or ''} end
if known[2] ~= string.match(CALL('INFO', 'server'), 'run_id:(%w+)') then return {'NOTADMITTED', known[2] or ''} end
local sealed = CALL('HGET', C, 'sealed')
if not sealed then return {'CONFIGURATION', known[3] or '0'} end
if sealed == '0' then return {'OPEN'} end
if #ARGV == 2 then
  local out = {'NAMES'}
  for i, name in ipairs(CALL('ZRANGE', C .. ':names', '0', '-1')) do out[i + 1] = name end
  return out
end
local out = {'EXPORT'}
for i = 3, #ARGV do
  local r = CALL('HMGET', C .. ':r:' .. ARGV[i], 'an', 'ap', 'digest', 'value')
  out[#out + 1] = r[1] or '0'
  out[#out + 1] = r[2] or '0'
  out[#out + 1] = r[3] or ''
  out[#out + 1] = r[4] or ''
end
return out
