-- Puts what `promote.lua` has gathered into its lines, the oldest first, in steps.
-- flags: allow-oom
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms, how many at most
-- Returns 1 if some may be left, else 0. What waits for its turn in a sequence stands in no line.
-- What stands in its line stays, with a moment below 0, until the view is in force: so that a promotion which is broken off,
-- and begun anew by another leader, puts nothing there twice.
local found = CALL('ZRANGEBYSCORE', P .. 'gathered', 0, '+inf', 'LIMIT', 0, ARGV[3])
local line_of, hints = nil, {}

local function append(line, hint)
  if #hints > 0 and (line ~= line_of or #hints == 1000) then
    CALL('RPUSH', P .. 'q:' .. line_of, unpack(hints))
    hints = {}
  end
  line_of = line
  hints[#hints + 1] = hint
end

local gated = #found > 0 and CALL('EXISTS', P .. 'gate') == 1
local done = {}
for i = 1, #found do
  done[2 * i - 1], done[2 * i] = -1, found[i]
  local line, hint = string.match(found[i], '^([^\n]*)\n(.*)$')
  local id = string.sub(hint, 1, -10)
  local sequence = gated and string.match(CALL('HGET', P .. 'gate', id) or '', 's(%x+)$')
  local first = sequence and CALL('ZRANGE', P .. 'sq:' .. sequence, 0, 0)[1]
  if first and first ~= id then
    CALL('SADD', P .. 'blk:' .. string.sub(line, 1, -3), id)
  else
    append(line, hint)
  end
end
if #hints > 0 then CALL('RPUSH', P .. 'q:' .. line_of, unpack(hints)) end
if #found > 0 then CALL('ZADD', P .. 'gathered', 'XX', unpack(done)) end
return #found == tonumber(ARGV[3]) and 1 or 0
