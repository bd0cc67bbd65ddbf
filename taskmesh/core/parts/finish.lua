-- Makes records final. `final` returns the new record, which the caller writes; `finish_all` then
-- writes the indexes of the whole batch at once and sends one notice per channel.
local NOW12 = string.format('%012x', NOW)
local LEAVING, NOTICES, BUCKETS, COUNTS, ENDED = {}, {}, {}, {}, 0

local function add_to(tables, name, value)
  local list = tables[name]
  if list then list[#list + 1] = value else tables[name] = {value} end
end

local function bucket_of(ttl_s)
  return math.floor((NOW + ttl_s * 1000) / 60000) + 1
end

local function forget_function(hash)
  if CALL('HINCRBY', P .. 'fnref', hash, -1) <= 0 then
    add_to(BUCKETS, bucket_of(3600), 'f' .. hash)
  end
end

local function final(id, rec, op, out)
  local qlen = tonumber(string.sub(rec, 103, 104), 16)
  local clen = tonumber(string.sub(rec, 105, 106), 16)
  local flen = tonumber(string.sub(rec, 107, 108), 16)
  local queue = string.sub(rec, 109, 108 + qlen)
  local channel = string.sub(rec, 109 + qlen, 108 + qlen + clen)
  local keeps = string.find(KEEPS_ENVELOPE, op, 1, true)
  local length = string.format('%08x', #out)
  local ttl_s = tonumber(string.sub(rec, 87, 94), 16)
  ENDED = ENDED + 1
  add_to(LEAVING, string.sub(rec, 53, 56), id)
  add_to(BUCKETS, bucket_of(ttl_s), 'r' .. id)
  local counted = queue .. ':' .. op
  COUNTS[counted] = (COUNTS[counted] or 0) + 1
  if clen > 0 then
    add_to(NOTICES, channel, length)
    add_to(NOTICES, channel, out)
  end
  if op == 'D' then CALL('ZADD', P .. 'dead', NOW, id) end
  local head = string.sub(rec, 1, 1) .. op .. version_after(string.sub(rec, 3, 10)) .. string.sub(rec, 11, 74)
    .. NOW12 .. string.sub(rec, 87, 94) .. length .. string.sub(rec, 103, 106)
  if keeps then
    return head .. string.sub(rec, 107, 108 + qlen + clen + flen) .. out .. string.sub(rec, 109 + qlen + clen + flen)
  end
  if flen > 0 then forget_function(string.sub(rec, 109 + qlen + clen, 108 + qlen + clen + flen)) end
  return head .. '00' .. queue .. channel .. out
end

local function finish_all()
  for slot, ids in pairs(LEAVING) do CALL('SREM', P .. 'L:' .. slot, unpack(ids)) end
  for minute, names in pairs(BUCKETS) do
    CALL('RPUSH', P .. 'x:' .. minute, unpack(names))
    CALL('ZADD', P .. 'xb', minute, minute)
  end
  for counted, n in pairs(COUNTS) do CALL('HINCRBY', P .. 'stats', counted, n) end
  for channel, pieces in pairs(NOTICES) do CALL('PUBLISH', P .. 'n:' .. channel, table.concat(pieces)) end
end
