-- Tells how many records of some slots a node has. Anybody may ask, at any epoch.
-- flags: no-writes
-- KEYS[1] prefix
-- ARGV    slots, four hex digits each
-- Returns {how many are not final, how many are final}, of these slots together
local live, final = 0, 0
for _, slot in ipairs(ARGV) do
  live = live + redis.call('SCARD', KEYS[1] .. 'L:' .. slot)
  final = final + redis.call('SCARD', KEYS[1] .. 'F:' .. slot)
end
return {live, final}
