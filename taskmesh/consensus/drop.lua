-- Removes some registers of a configuration that was sealed here and is behind a complete one; its state stays, as a signpost.
-- flags: allow-oom
-- parts: acceptor
-- KEYS[1] prefix  ARGV: instance, configuration, the most registers at once
-- Returns {'DROPPED', how many are left}; {'OPEN'} if it is not sealed here; {'WRONGINSTANCE', id} or {'NOTADMITTED', run id}.
local no = stranger()
if no then return no end
if CALL('HGET', C, 'sealed') ~= '1' then return {'OPEN'} end
-- from now on nobody may conclude from what is not there that it never was
CALL('HSET', C, 'dropped', '1')
local names = CALL('ZRANGE', C .. ':names', '0', whole(tonumber(ARGV[3]) - 1))
for _, name in ipairs(names) do
  CALL('UNLINK', C .. ':r:' .. name)
  CALL('ZREM', C .. ':names', name)
end
return {'DROPPED', whole(CALL('ZCARD', C .. ':names'))}
