-- Forgets the lines of a node of whose slots none is as it was, or that leads some no more: all that it leads is gathered anew. What it
-- led before its process was started anew, or before others led it, would be counted, and stand there twice. Before `promote.lua`.
-- flags: allow-oom
-- parts: epoch, late
-- KEYS[1] prefix  ARGV: epoch, now_ms
-- Returns of how many queues. A repeat changes nothing, however late.
if is_late() then return 0 end
-- whoever leads by another view than this one has to begin anew
CALL('SET', P .. 'promoting', EPOCH)
local queues = CALL('SMEMBERS', P .. 'queues')
for _, queue in ipairs(queues) do
  for priority = 0, 9 do CALL('UNLINK', P .. 'q:' .. queue .. ':' .. priority) end
end
CALL('UNLINK', P .. 'gathered')
return #queues
