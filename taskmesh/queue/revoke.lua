-- Ends messages that wait, as revoked or as expired; one that runs is flagged if it is revoked, and its outcome is
-- kept for the case that it would otherwise be begun again.
-- flags: allow-oom
-- parts: epoch, moves, ready, gates, buckets, finish, lines, events
-- KEYS[1] prefix  ARGV: epoch, now_ms, 'V' or 'X', then per message: id, version (8 hex; '' = any), outcome
-- Returns a string, a letter per message: 'o' ended, 'T' runs (flagged), '-' unknown, '!' has moved on,
--   else the letter of its final state.
local verdicts, op, lines = {}, ARGV[3], {}
for at = 4, #ARGV, 3 do
  local id, version = ARGV[at], ARGV[at + 1]
  local key = P .. 'r:' .. id
  local rec = CALL('GET', key)
  local verdict = '-'
  if rec then
    local state = string.sub(rec, 2, 2)
    if version ~= '' and string.sub(rec, 3, 10) ~= version then
      verdict = '!'
    elseif state == 'T' then
      local flags = (tonumber(string.sub(rec, 62, 62), 16) or 0)
      if op == 'V' then
        if math.floor(flags / 2) % 2 == 0 then CALL('SETRANGE', key, 61, string.format('%x', flags + 2)) end
        CALL('HSET', P .. 'rv', id, ARGV[at + 2])
      end
      verdict = 'T'
    elseif may_move(state, op) then
      CALL('SET', key, final(id, rec, op, ARGV[at + 2]))
      if state == 'P' then
        lines[queue_of(rec) .. ':' .. string.sub(rec, 61, 61)] = true
      else
        CALL('ZREM', P .. 'd', id .. ':' .. string.sub(rec, 3, 10))
        CALL('HDEL', P .. 'parked', id)
      end
      if LISTENED then event(op == 'V' and 'revoked' or 'expired', id, rec) end
      verdict = 'o'
    else
      verdict = state
      -- the caller takes it for ended from now on
      if SEEN then SEEN[#SEEN + 1] = id end
    end
  end
  verdicts[#verdicts + 1] = verdict
end
if ENDED > 0 then finish_all() end
-- at each end as many as were ended here, and some of before that stood behind others
for line in pairs(lines) do trim_line(P .. 'q:' .. line, ENDED + 100) end
if LISTENED then tell_events() end
return table.concat(verdicts)
