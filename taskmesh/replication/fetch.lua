-- Shows whole copies of records, whoever leads their slots, for those who have none or an older one.
-- flags: no-writes
-- parts: copies
-- KEYS[1] prefix  ARGV: epoch, now_ms, ids ...
-- Returns per id: record, what stands beside it, the outcome by which it is revoked, telling, build that left it; '' for what
--   there is not.
local out = {}
for i = 3, #ARGV do
  local id = ARGV[i]
  out[#out + 1] = CALL('GET', P .. 'r:' .. id) or ''
  out[#out + 1] = CALL('HGET', P .. 'side', id) or ''
  out[#out + 1] = CALL('HGET', P .. 'rv', id) or ''
  out[#out + 1] = CALL('HGET', P .. 'tellings', id) or ''
  out[#out + 1] = CALL('HGET', P .. 'parked', id) or ''
end
return out
