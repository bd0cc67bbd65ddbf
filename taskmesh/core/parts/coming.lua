-- A copy that comes in pieces: what has come stands in `c:<id>`, and in `coming` when the last of it came (12 hex, ms), then of
-- what it is: the epoch in which it is brought (12), the version (8), and how many bytes the whole record has.
local function coming(id)
  local stands = CALL('HGET', P .. 'coming', id)
  return stands and string.sub(stands, 13)
end

local function drop_coming(id)
  CALL('HDEL', P .. 'coming', id)
  CALL('UNLINK', P .. 'c:' .. id)
end

-- Lets go of pieces of what a record was before it came to be what it is here.
local function drop_outdated(id)
  local stands = coming(id)
  if not stands then return end
  local head, version = CALL('GETRANGE', P .. 'r:' .. id, 0, 101), string.sub(stands, 13, 20)
  local known = string.sub(head, 3, 10)
  if version < known or version == known and not misses_outcome(head) then drop_coming(id) end
end
