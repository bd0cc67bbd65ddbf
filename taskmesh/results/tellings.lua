-- Reads what running messages tell of themselves.
-- flags: no-writes
-- KEYS[1] prefix  ARGV: epoch, now_ms, ids ...
-- parts: epoch
-- Returns a flat list: per id the token of its claim and its signed telling, or false twice if there is none.
local out = {}
for i = 3, #ARGV do
  local head = CALL('GETRANGE', P .. 'r:' .. ARGV[i], 1, 51)
  local telling = string.sub(head, 1, 1) == 'T' and CALL('HGET', P .. 'tellings', ARGV[i])
  out[#out + 1] = telling and string.sub(head, 2) or false
  out[#out + 1] = telling
end
return out
