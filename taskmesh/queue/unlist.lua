-- Forgets a queue that nobody uses: it is listed no more, and its counts go.
-- flags: allow-oom
-- parts: epoch, lines
-- KEYS[1] prefix  ARGV: epoch, now_ms, queue, letters of the final states, '?' to be told only what would become of it
-- Returns 'o' forgotten, '-' not listed (a repeat finds this), or why not: 'p' it is paused, 'm' messages stand in its line or
--   wait for their turn in a sequence, 'i' a child is idle on it.
-- What waits for its time, or runs, is not looked for: whatever puts it into its line lists the queue again.
local queue = ARGV[3]
local idle, by_ticket = P .. 'idle:' .. queue, P .. 'tidle:' .. queue
if CALL('SISMEMBER', P .. 'paused', queue) == 1 then return 'p' end
for priority = 0, 9 do
  trim_line(P .. 'q:' .. queue .. ':' .. priority, 1000)
  if CALL('EXISTS', P .. 'q:' .. queue .. ':' .. priority) == 1 then return 'm' end
end
if CALL('EXISTS', P .. 'blk:' .. queue) == 1 then return 'm' end
for _, registered in ipairs({idle, by_ticket}) do
  for _, holder in ipairs(CALL('ZRANGE', registered, 0, -1)) do
    -- who died while idle is taken off only by the wake-up that meets it
    if CALL('HGET', P .. 'w:' .. string.sub(holder, 1, 16), 'state') == 'live' then return 'i' end
  end
end
if ARGV[5] == '?' then return CALL('SISMEMBER', P .. 'queues', queue) == 1 and 'o' or '-' end
CALL('UNLINK', idle, by_ticket, P .. 'pidle:' .. queue)
for letter in string.gmatch(ARGV[4], '.') do CALL('HDEL', P .. 'stats', queue .. ':' .. letter) end
return CALL('SREM', P .. 'queues', queue) == 1 and 'o' or '-'
