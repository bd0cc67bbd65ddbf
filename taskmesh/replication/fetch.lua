-- Shows copies of records, whoever leads their slots, for those who have none or an older one; not more in one step than asked for.
-- flags: no-writes
-- parts: copies
-- KEYS[1] prefix  ARGV: epoch, now_ms, how many bytes of records at most, ids ...
-- Returns per id: record, what stands beside it, the outcome by which it is revoked, telling, build that left it, how many bytes
--   the record has; '' for what there is not. Of a record that does not fit any more: its head and names only.
local out, room = {}, tonumber(ARGV[3])

local function as_much_as_fits(key, size)
  if size <= room then
    room = room - size
    return CALL('GET', key) or ''
  end
  local head, stop = CALL('GETRANGE', key, 0, 107), 107
  for first = 103, 107, 2 do stop = stop + (tonumber(string.sub(head, first, first + 1), 16) or 0) end
  return CALL('GETRANGE', key, 0, stop)
end

for i = 4, #ARGV do
  local id = ARGV[i]
  local size = CALL('STRLEN', P .. 'r:' .. id)
  out[#out + 1] = as_much_as_fits(P .. 'r:' .. id, size)
  out[#out + 1] = CALL('HGET', P .. 'side', id) or ''
  out[#out + 1] = CALL('HGET', P .. 'rv', id) or ''
  out[#out + 1] = CALL('HGET', P .. 'tellings', id) or ''
  out[#out + 1] = CALL('HGET', P .. 'parked', id) or ''
  out[#out + 1] = string.format('%d', size)
end
return out
