-- Removes some registers of a configuration that was sealed here and is behind a complete one; its state stays, as a signpost.
-- flags: allow-oom
-- KEYS[1] prefix  ARGV: instance, configuration, the most registers at once
-- Returns {'DROPPED', how many are left}; {'OPEN'} if it is not sealed here; {'WRONGINSTANCE', id}.
local P = KEYS[1] .. 'ac:'
local CALL = redis.call
local I, C = P .. 'instance', P .. ARGV[2]
local id = CALL('HGET', I, 'id')
if id ~= ARGV[1] then return {'WRONGINSTANCE', id or ''} end
if CALL('HGET', C, 'sealed') ~= '1' then return {'OPEN'} end
local names = CALL('ZRANGE', C .. ':names', '0', tostring(tonumber(ARGV[3]) - 1))
for _, name in ipairs(names) do
  CALL('UNLINK', C .. ':r:' .. name)
  CALL('ZREM', C .. ':names', name)
end
return {'DROPPED', tostring(CALL('ZCARD', C .. ':names'))}
