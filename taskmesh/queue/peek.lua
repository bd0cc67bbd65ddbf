-- Shows the first hints of a queue that are still valid, and drops those that are not.
-- flags: allow-oom
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms, queue, most
-- Returns a flat list: id, version ... in the order in which they would be claimed; last those that wait for their turn
--   in a sequence.
local out, most = {}, tonumber(ARGV[4])
for priority = 9, 0, -1 do
  local line = P .. 'q:' .. ARGV[3] .. ':' .. priority
  local start = 0
  while #out < 2 * most do
    local hints = CALL('LRANGE', line, start, start + 99)
    if #hints == 0 then break end
    local stale = 0
    for i = 1, #hints do
      local id, version = string.sub(hints[i], 1, -10), string.sub(hints[i], -8)
      if CALL('GETRANGE', P .. 'r:' .. id, 1, 9) == 'P' .. version then
        if #out < 2 * most then
          out[#out + 1] = id
          out[#out + 1] = version
        end
      elseif start == 0 and stale == i - 1 then
        stale = i
      end
    end
    if stale > 0 then CALL('LTRIM', line, stale, -1) end
    start = start + #hints - stale
  end
end
local blocked = #out < 2 * most and CALL('SMEMBERS', P .. 'blk:' .. ARGV[3]) or {}
for i = 1, #blocked do
  local head = CALL('GETRANGE', P .. 'r:' .. blocked[i], 1, 9)
  if #out < 2 * most and string.sub(head, 1, 1) == 'P' then
    out[#out + 1] = blocked[i]
    out[#out + 1] = string.sub(head, 2)
  end
end
return out
