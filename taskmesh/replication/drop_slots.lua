-- Removes copies of slots that this node keeps no more, in steps.
-- flags: allow-oom
-- parts: copies, moves, buckets, finish
-- KEYS[1] prefix  ARGV: epoch, now_ms, how many records at most, the member that is meant, slots (4 hex) ...
-- Returns {how many were removed, '1' if there is more}.
-- Errors: STRANGER this is another member, which may have come to the address of one that left.
local most, removed = tonumber(ARGV[3]), 0
local id = CALL('HGET', P .. 'me', 'id') or 'none'
if id ~= ARGV[4] then return redis.error_reply('STRANGER ' .. id) end

local function remove(id, slot)
  local key = P .. 'r:' .. id
  local rec = CALL('GETRANGE', key, 0, 108 + 3 * 255 - 1)
  if string.sub(rec, 53, 56) ~= slot then return end
  local hash = names_of(rec).hash
  if hash ~= '' then let_go_of(hash) end
  CALL('UNLINK', key)
  CALL('HDEL', P .. 'side', id)
  CALL('HDEL', P .. 'rv', id)
  CALL('HDEL', P .. 'tellings', id)
  CALL('HDEL', P .. 'parked', id)
end

for i = 5, #ARGV do
  for _, set in ipairs({P .. 'L:' .. ARGV[i], P .. 'F:' .. ARGV[i]}) do
    local cursor, ids = '0', nil
    while removed < most do
      cursor, ids = unpack(CALL('SSCAN', set, cursor, 'COUNT', 100))
      for n = 1, #ids do
        remove(ids[n], ARGV[i])
        CALL('SREM', set, ids[n])
      end
      removed = removed + #ids
      if cursor == '0' then break end
    end
  end
end
return {removed, removed < most and '0' or '1'}
