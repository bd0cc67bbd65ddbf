-- What keeps or copies replicas, whoever leads their slots: KEYS[1] = prefix, ARGV[1] = the epoch that the node must be in (a
-- fenced one begins with `x`), ARGV[2] = now in ms.
local P, EPOCH, NOW = KEYS[1], ARGV[1], tonumber(ARGV[2])
local CALL = redis.call
local FLOOR, SEEN, COPIES, LARGE_BYTES
do
  local epoch = CALL('GET', P .. 'epoch')
  if epoch ~= EPOCH then return redis.error_reply('STALEVIEW ' .. (epoch or 'none')) end
end
