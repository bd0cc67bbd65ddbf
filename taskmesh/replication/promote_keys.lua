-- Forgets what keys of messages held on this node in slots that it did not lead until now: it may have led them long ago.
-- In steps, before `promote.lua`.
-- flags: allow-oom
-- parts: epoch, late, gates
-- KEYS[1] prefix  ARGV: epoch, now_ms, a char for each slot: '1' if this node led it until now, 'gate' or 'ikid', cursor
--   ('0' = begin)
-- Returns the cursor of the next step; '0' = that was all, or that it comes too late.
if is_late() then return '0' end
-- whoever leads by another view than this one has to begin anew
CALL('SET', P .. 'promoting', EPOCH)
local kept, which = ARGV[3], ARGV[4]
local cursor, found = unpack(CALL('HSCAN', which == 'gate' and P .. 'gate' or P .. 'ikid', ARGV[5], 'COUNT', 300))
for i = 1, #found, 2 do
  local id, held = found[i], found[i + 1]
  local rec = CALL('GETRANGE', P .. 'r:' .. id, 52, 362)
  local slot = tonumber(string.sub(rec, 1, 4), 16)
  if not slot or string.sub(kept, slot + 1, slot + 1) ~= '1' then
    if which == 'ikid' then
      CALL('HDEL', P .. 'ikid', id)
      CALL('HDEL', P .. 'ik', held)
    else
      for kind, digest in string.gmatch(held, '([us])(%x+)') do
        if kind == 'u' then
          let_go_of_key(digest, id)
          CALL('HDEL', P .. 'us', id)
        else
          CALL('ZREM', P .. 'sq:' .. digest, id)
          local queue = string.sub(rec, 57, 56 + (tonumber(string.sub(rec, 51, 52), 16) or 0))
          CALL('SREM', P .. 'blk:' .. queue, id)
        end
      end
      CALL('HDEL', P .. 'gate', id)
    end
  end
end
return cursor
