-- Lists the records that a node holds of a slot, in steps.
-- flags: allow-oom
-- parts: copies, moves, short, marks
-- KEYS[1] prefix  ARGV: epoch, now_ms, slot (4 hex), 'L' those that are not final or 'F' those that are, cursor ('0' = begin),
--   about how many
-- Returns {cursor of the next step, '0' = that was all, id, mark ...}; see part `marks`. An id may be told twice.
local cursor, ids = unpack(CALL('SSCAN', (ARGV[4] == 'L' and P .. 'L:' or P .. 'F:') .. ARGV[3], ARGV[5], 'COUNT', ARGV[6]))
local out = {cursor}
for i = 1, #ids do
  local mark = mark_of(ids[i])
  if mark then
    out[#out + 1] = ids[i]
    out[#out + 1] = mark
  end
end
return out
