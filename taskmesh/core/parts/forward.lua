-- Brings a node to a later view: KEYS[1] = prefix, ARGV[1] = the epoch to come, ARGV[2] = now in ms. A node that is further
-- refuses. Epochs of views are a letter, `f` if the view is obeyed and `x` if it is waited for, and a number (11 hex).
local P, EPOCH, NOW = KEYS[1], ARGV[1], tonumber(ARGV[2])
local CALL = redis.call
local KNOWN = CALL('GET', P .. 'epoch') or ''
local function number_of(epoch)
  return string.find(epoch, '^[fx]%x+$') and tonumber(string.sub(epoch, 2), 16) or 0
end
if number_of(KNOWN) > number_of(EPOCH) then return redis.error_reply('STALEVIEW ' .. KNOWN) end
