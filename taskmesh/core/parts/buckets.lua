-- Ids to be removed in one minute: a list whose elements are some ids joined by newlines. Pushing each id as an element of
-- its own costs five times as much, and most of all in a large node.
local BUCKET_GROUP = 32

local function remove_in(minute, ids)
  local groups = {}
  for i = 1, #ids, BUCKET_GROUP do
    groups[#groups + 1] = table.concat(ids, '\n', i, math.min(i + BUCKET_GROUP - 1, #ids))
  end
  CALL('RPUSH', P .. 'x:' .. minute, unpack(groups))
  CALL('ZADD', P .. 'xb', minute, minute)
end
