-- Sums up what a node holds of some slots, so that copies can be compared. Only a leader asks.
-- flags: allow-oom
-- parts: copies, moves, short, marks
-- KEYS[1] prefix  ARGV: epoch, now_ms, slots (4 hex) ...
-- Returns a digest for each of the first slots, as far as one step goes, at least one: how many records it may hold, and a
--   sum that does not depend on their order, hex. 'large' for a slot that has too many: compare those by their lists.
local STEP_RECORDS, SLOT_RECORDS_MAX = 500, 3000
local out, looked_at = {}, 0
for i = 3, #ARGV do
  local sets = {P .. 'L:' .. ARGV[i], P .. 'F:' .. ARGV[i]}
  local count = CALL('SCARD', sets[1]) + CALL('SCARD', sets[2])
  if i > 3 and looked_at + count > STEP_RECORDS then break end
  if count > SLOT_RECORDS_MAX then
    out[#out + 1] = 'large'
  else
    local sum, marked = 0, 0
    looked_at = looked_at + count
    for s = 1, #sets do
      for _, id in ipairs(CALL('SMEMBERS', sets[s])) do
        local mark = mark_of(id)
        if mark then
          -- 48 bits: sums stay whole
          sum = (sum + tonumber(string.sub(redis.sha1hex(id .. mark), 1, 12), 16)) % 2 ^ 48
          marked = marked + 1
        end
      end
    end
    out[#out + 1] = string.format('%d:%.0f', marked, sum)
  end
end
return out
