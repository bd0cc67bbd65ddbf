-- Reads records without their envelopes.
-- flags: no-writes
-- KEYS[1] prefix  ARGV: epoch, now_ms, ids ...
-- parts: epoch
-- Returns per id: the record up to and with its outcome, or false.
local out, keys = {}, {}
for i = 3, #ARGV do keys[#keys + 1] = P .. 'r:' .. ARGV[i] end
local records = CALL('MGET', unpack(keys))
for i = 1, #keys do
  local rec = records[i]
  if rec then
    local length = 108 + (tonumber(string.sub(rec, 103, 104), 16) or 0) + (tonumber(string.sub(rec, 105, 106), 16) or 0)
      + (tonumber(string.sub(rec, 107, 108), 16) or 0) + (tonumber(string.sub(rec, 95, 102), 16) or 0)
    out[i] = string.sub(rec, 1, length)
    if SEEN then SEEN[#SEEN + 1] = ARGV[i + 2] end
  else
    out[i] = false
  end
end
return out
