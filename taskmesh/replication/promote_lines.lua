-- Puts what `promote.lua` has gathered into its lines, the oldest first, in steps.
-- flags: allow-oom
-- parts: epoch
-- KEYS[1] prefix  ARGV: epoch, now_ms, how many at most
-- Returns how many are left. What waits for its turn in a sequence stands in no line.
local found = CALL('ZPOPMIN', P .. 'gathered', ARGV[3])
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
for i = 1, #found, 2 do
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
return CALL('ZCARD', P .. 'gathered')
