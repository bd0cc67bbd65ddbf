-- Drops dead letters. Their state alone stays, as long as sending their ids again must be harmless.
-- flags: allow-oom
-- parts: epoch, moves, ready, buckets, sweep
-- KEYS[1] prefix  ARGV: epoch, now_ms, ids ...
-- Returns a string, a letter per id: 'o' dropped (a repeat finds it dropped: 'D'), '-' unknown, else the letter of its state.
local sweep_record, remove_all_later = sweeper()
local verdicts = {}
for i = 3, #ARGV do
  local id = ARGV[i]
  local listed = CALL('ZREM', P .. 'dead', id)
  local rec = CALL('GET', P .. 'r:' .. id)
  local verdict = '-'
  if rec then
    verdict = string.sub(rec, 2, 2)
    if verdict == 'D' and listed == 1 then
      sweep_record(id, version_after)
      verdict = 'o'
    end
  end
  verdicts[#verdicts + 1] = verdict
end
remove_all_later()
return table.concat(verdicts)
