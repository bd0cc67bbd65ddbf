-- Every script: KEYS[1] = prefix, ARGV[1] = the caller's epoch, ARGV[2] = now in ms.
local P, EPOCH, NOW = KEYS[1], ARGV[1], tonumber(ARGV[2])
local CALL = redis.call
do
  local epoch = CALL('GET', P .. 'epoch')
  if epoch ~= EPOCH then return redis.error_reply('STALEVIEW ' .. (epoch or 'none')) end
end
