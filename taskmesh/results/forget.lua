-- Drops the outcomes of final records; their states stay until the ids may be forgotten.
-- flags: allow-oom
-- parts: epoch, moves, ready, sweep
-- KEYS[1] prefix  ARGV: epoch, now_ms, ids ...
-- Returns how many were dropped. One that is not final yet is left as it is.
local sweep_record = sweeper()
local count = 0
for i = 3, #ARGV do
  local rec = CALL('GET', P .. 'r:' .. ARGV[i])
  if rec and is_final(string.sub(rec, 2, 2)) then
    sweep_record(ARGV[i], version_after)
    count = count + 1
  end
end
return count
