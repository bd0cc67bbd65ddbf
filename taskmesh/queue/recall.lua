-- Puts the messages of one claim that wait behind a position back in line; nothing is charged.
-- flags: allow-oom
-- parts: epoch, moves, ready, gates, buckets, finish, revoked
-- KEYS[1] prefix  ARGV: epoch, now_ms, holder, sequence (as `held.lua` tells it), position (from 1; 0 = all of
--   the claim)
-- One that was told to be revoked since its claim ends by that instead.
-- Returns how many were put back. A repeat, or one that comes late, finds nothing to do.
local holder, seq, position = ARGV[3], ARGV[4], tonumber(ARGV[5])
local run = P .. 'run:' .. holder
local ids = CALL('HGET', run, seq)
if not ids then return 0 end
local lease, kept, back, i = holder .. string.sub(seq, -8), {}, {}, 0
for id in string.gmatch(ids, '[^\n]+') do
  i = i + 1
  if i <= position then kept[#kept + 1] = id else back[#back + 1] = id end
end
local count = 0
for j = #back, 1, -1 do
  local key = P .. 'r:' .. back[j]
  local rec = CALL('GET', key)
  if rec and string.sub(rec, 2, 2) == 'T' and string.sub(rec, 23, 52) == lease then
    local revoked = revoked_outcome(back[j], rec)
    if revoked then
      CALL('SET', key, final(back[j], rec, 'V', revoked))
    else
      rec = '1P' .. version_after(string.sub(rec, 3, 10)) .. string.sub(rec, 11)
      CALL('SET', key, rec)
      make_ready(back[j], rec, true)
      count = count + 1
    end
  end
end
if ENDED > 0 then finish_all() end
if #kept == 0 then CALL('HDEL', run, seq) else CALL('HSET', run, seq, table.concat(kept, '\n')) end
return count
