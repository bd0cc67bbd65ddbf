-- Takes a piece of a copy that is too large to come at once. What has come stands aside until `apply.lua` puts it in its place.
-- flags: allow-oom
-- parts: copies, moves, buckets, short, coming
-- KEYS[1] prefix  ARGV: epoch, now_ms, id, version (8), bytes of the whole record, where the piece begins (from 0), the piece
-- Returns how many bytes have come of that copy: the next piece begins there. -1: that version or a newer one is here; -2: pieces
--   of a newer one are coming.
-- A piece that came before, or for which others are missing, changes nothing.
local id, version, from, piece = ARGV[3], ARGV[4], tonumber(ARGV[6]), ARGV[7]
-- whose sender is gone may stay so long
local LEFT_MINUTES = 10
local mine = EPOCH .. version .. ARGV[5]
local head = CALL('GETRANGE', P .. 'r:' .. id, 0, 101)
local known = string.sub(head, 3, 10)
if known > version or known == version and not misses_outcome(head) then
  drop_outdated(id)
  return -1
end
local stands = coming(id)
if stands and stands ~= mine and string.sub(stands, 1, 12) == EPOCH and string.sub(stands, 13, 20) > version then return -2 end
if stands ~= mine then
  if from > 0 then return 0 end
  -- of an older version, or of one that a node brought which may not have led
  drop_coming(id)
  remove_in(math.floor(NOW / 60000) + LEFT_MINUTES, {' ' .. id})
end
CALL('HSET', P .. 'coming', id, string.format('%012x', NOW) .. mine)
local has = CALL('STRLEN', P .. 'c:' .. id)
if from ~= has then return has end
return CALL('APPEND', P .. 'c:' .. id, piece)
