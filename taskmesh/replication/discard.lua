-- Removes copies that the primary does not have: what a node held that was away, and others have forgotten since.
-- flags: allow-oom
-- parts: copies
-- KEYS[1] prefix  ARGV: epoch, now_ms, slot (4 hex), then per record: id, version (8)
-- Returns how many were removed. A record that has moved on stays.
local removed = 0
for i = 4, #ARGV, 2 do
  local id = ARGV[i]
  local key = P .. 'r:' .. id
  local head = CALL('GETRANGE', key, 0, 107)
  if string.sub(head, 3, 10) == ARGV[i + 1] then
    local names = {0, 0, 0}
    for n = 1, 3 do names[n] = tonumber(string.sub(head, 101 + 2 * n, 102 + 2 * n), 16) or 0 end
    if names[3] > 0 then
      local at = 108 + names[1] + names[2]
      CALL('HINCRBY', P .. 'fnref', CALL('GETRANGE', key, at, at + names[3] - 1), -1)
    end
    CALL('UNLINK', key)
    if CALL('HDEL', P .. 'coming', id) == 1 then CALL('UNLINK', P .. 'c:' .. id) end
    CALL('SREM', P .. 'L:' .. ARGV[3], id)
    CALL('SREM', P .. 'F:' .. ARGV[3], id)
    for _, of in ipairs({P .. 'side', P .. 'rv', P .. 'tellings', P .. 'parked'}) do CALL('HDEL', of, id) end
    removed = removed + 1
  end
end
return removed
