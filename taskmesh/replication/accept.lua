-- Changes which keys the mesh accepts. Only who holds an accepted key may.
-- flags: allow-oom
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms, 'add' or 'remove', key id, key id of who asks
-- Returns the ids of the accepted keys, comma-separated. A repeat changes nothing.
-- Errors: NOMESH there is no mesh, NOTACCEPTED the key of who asks is not accepted, OWNKEY it would remove itself.
local known = CALL('HGET', P .. 'meta', 'keys')
if not known then return redis.error_reply('NOMESH') end
local what, id, by = ARGV[3], ARGV[4], ARGV[5]
local kept, accepted, held = {}, false, false
for each in string.gmatch(known, '[^,]+') do
  accepted = accepted or each == by
  held = held or each == id
  if what == 'add' or each ~= id then kept[#kept + 1] = each end
end
if not accepted then return redis.error_reply('NOTACCEPTED ' .. known) end
if what == 'remove' and id == by then return redis.error_reply('OWNKEY ' .. id) end
if what == 'add' and not held then kept[#kept + 1] = id end
local after = table.concat(kept, ',')
if after ~= known then CALL('HSET', P .. 'meta', 'keys', after) end
return after
