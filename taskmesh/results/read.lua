-- Reads records without their envelopes.
-- flags: no-writes
-- KEYS[1] prefix  ARGV: epoch, now_ms, ids ...
-- parts: epoch
-- Returns per id: the record up to and with its outcome, or false. Of several nodes: without one that is large (see `piece.lua`).
local out, keys = {}, {}
for i = 3, #ARGV do keys[#keys + 1] = P .. 'r:' .. ARGV[i] end
local records
if LARGE_BYTES then
  -- no more of each than is told: with head and names, whatever their lengths
  records = {}
  for i = 1, #keys do
    local rec = CALL('GETRANGE', keys[i], 0, LARGE_BYTES + 1023)
    records[i] = rec ~= '' and rec
  end
else
  records = CALL('MGET', unpack(keys))
end
for i = 1, #keys do
  local rec = records[i]
  if rec then
    local length = 108 + (tonumber(string.sub(rec, 103, 104), 16) or 0) + (tonumber(string.sub(rec, 105, 106), 16) or 0)
      + (tonumber(string.sub(rec, 107, 108), 16) or 0)
    local outcome = tonumber(string.sub(rec, 95, 102), 16) or 0
    if not (LARGE_BYTES and outcome > LARGE_BYTES) then length = length + outcome end
    out[i] = string.sub(rec, 1, length)
    if SEEN then SEEN[#SEEN + 1] = ARGV[i + 2] end
  else
    out[i] = false
  end
end
return out
