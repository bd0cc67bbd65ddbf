-- Ends runs: an outcome, or a release, each only with the token of its claim. Repeating one answers OK.
-- flags: allow-oom
-- parts: epoch, moves, ready, gates, buckets, finish, revoked, sweep, events
-- KEYS[1] prefix  ARGV: epoch, now_ms, holder, build, seconds to keep a dead letter, k, then k times
--   a claim's sequence and epoch ('' = look whether anything of it is held), of claims that are done with,
--   then per message: id, token (50), new state (a letter), outcome
--   The outcome of a release (P) or of one that goes to the end of its line (Q) is ''; of a parking (S) the ms until which
--   it may wait, if not parked before; of a snooze (Z) the ms at which it is due; of a retry (Y) that (12 hex), the length of
--   the signed history (8 hex), a new priority ('-' keeps the old one), the length of the name of a new queue (2 hex, 00 keeps
--   the old one), that name, the history, and a new envelope ('' keeps the old one).
--   One that was told to be revoked while it ran ends by that instead of going on.
-- Returns a string, a letter per message: 'o' done, 'r' done before, 'z' refused (not the holder's any more).
local STATE_OF = {Q = 'P', Z = 'S'}
local run = P .. 'run:' .. ARGV[3]
local build = ARGV[4]
DEAD_TTL = string.format('%08x', tonumber(ARGV[5]))
local first = 7 + 2 * tonumber(ARGV[6])
local n = (#ARGV - first + 1) / 4
local keys = {}
for i = 1, n do keys[i] = P .. 'r:' .. ARGV[first + 4 * (i - 1)] end
local records = n > 0 and CALL('MGET', unpack(keys)) or {}
local written, released, requeued, soon, verdicts, taken, w = {}, {}, {}, {}, {}, {}, 0
local again, refused = false, false

-- Return a moment as a number that fits the 12 hex digits of a record, whatever was said: what does not is now, or 6429.
local function moment(due)
  if not (due and due >= 0) then return NOW end
  return math.min(due, 2 ^ 47)
end

-- Put a message that runs into the delayed index.
local function delayed(id, rec, state, due)
  local version = version_after(string.sub(rec, 3, 10))
  CALL('ZADD', P .. 'd', due, id .. ':' .. version)
  if due < NOW + SOON_MS then soon[queue_of(rec)] = true end
  return '1' .. state .. version .. string.sub(rec, 11, 74) .. string.format('%012x', due) .. string.sub(rec, 87)
end

-- Only a commit brings what runs there; in line it may also have been put by who reaped or recalled it.
local function is_delayed(op) return op == 'Y' or op == 'S' or op == 'Z' end

for i = 1, n do
  local at = first + 4 * (i - 1)
  local id, token, op, out = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  -- one that is named twice was read before it was written: it is done by the entry that was taken. Who gives back a claim that is
  -- over, and has claimed the same anew, names it twice, and only the second entry is of the claim that counts
  local rec = not taken[id] and records[i]
  local verdict = taken[id] == token and 'r' or 'z'
  if rec and string.sub(rec, 2, 2) == 'T' and string.sub(rec, 3, 52) == token then
    if not may_move('T', STATE_OF[op] or op) then return redis.error_reply('BADMOVE T' .. op) end
    verdict = 'o'
    w = w + 1
    written[2 * w - 1] = keys[i]
    local revoked = not is_final(op) and revoked_outcome(id, rec)
    if is_final(op) then
      written[2 * w] = final(id, rec, op, out)
    elseif revoked then
      written[2 * w] = final(id, rec, 'V', revoked)
      if LISTENED then event('revoked', id, rec) end
    elseif op == 'P' or op == 'Q' then
      rec = '1P' .. version_after(string.sub(rec, 3, 10)) .. string.sub(rec, 11)
      written[2 * w] = rec
      local back = op == 'P' and released or requeued
      back[#back + 1] = {id, rec}
    elseif op == 'Z' then
      written[2 * w] = delayed(id, rec, 'S', moment(tonumber(out)))
    elseif op == 'Y' then
      local attempt = math.min(255, (tonumber(string.sub(rec, 57, 58), 16) or 0) + 1)
      local names = names_of(rec)
      local whole, priority = names.whole, string.sub(out, 21, 21)
      if priority == '-' then priority = string.sub(rec, 61, 61) end
      local history = 24 + (tonumber(string.sub(out, 22, 23), 16) or 0)
      if history > 24 then
        local queue = string.sub(out, 24, history - 1)
        whole = string.sub(out, 22, 23) .. string.sub(whole, 3, 6) .. queue .. string.sub(whole, 7 + #names.queue)
        CALL('SADD', P .. 'queues', queue)
      end
      local length = tonumber(string.sub(out, 13, 20), 16) or 0
      local envelope = string.sub(out, history + length)
      if envelope == '' then
        envelope = string.sub(rec, names.stop + 1 + (tonumber(string.sub(rec, 95, 102), 16) or 0))
      end
      rec = string.sub(rec, 1, 56) .. string.format('%02x', attempt) .. string.sub(rec, 59, 60) .. priority
        .. string.sub(rec, 62, 94) .. string.format('%08x', length) .. whole
        .. string.sub(out, history, history + length - 1) .. envelope
      written[2 * w] = delayed(id, rec, 'Y', moment(tonumber(string.sub(out, 1, 12), 16)))
    elseif op == 'S' then
      -- parked: keep the first deadline, so that it cannot be parked for ever
      local due = tonumber(string.sub(rec, 75, 86), 16)
      if due == 0 then due = moment(tonumber(out)) end
      local version = version_after(string.sub(rec, 3, 10))
      written[2 * w] = '1S' .. version .. string.sub(rec, 11, 74) .. string.format('%012x', due) .. string.sub(rec, 87)
      CALL('ZADD', P .. 'd', due, id .. ':' .. version)
      CALL('HSET', P .. 'parked', id, build .. ':' .. version)
    else
      return redis.error_reply('BADMOVE T' .. op)
    end
  elseif rec and string.sub(rec, 2, 2) == (STATE_OF[op] or op) and string.sub(rec, 11, 52) == string.sub(token, 9, 50)
    and (is_final(op) or is_delayed(op) and string.sub(rec, 3, 10) == version_after(string.sub(token, 1, 8))) then
    verdict = 'r'
  elseif rec and string.sub(rec, 2, 2) == 'V' and string.sub(rec, 11, 52) == string.sub(token, 9, 50) and not is_final(op) then
    -- it was to go on, and ended as it had been told
    verdict = 'r'
  end
  if verdict == 'r' and SEEN then
    SEEN[#SEEN + 1] = id
    again = rec and tell_again(rec) or again
  end
  if verdict ~= 'z' then taken[id] = token else refused = true end
  verdicts[i] = verdict
end

if w > 0 then CALL('MSET', unpack(written)) end
for i = #released, 1, -1 do make_ready(released[i][1], released[i][2], true) end
for i = 1, #requeued do make_ready(requeued[i][1], requeued[i][2], false) end
for queue in pairs(soon) do wake(queue, 1) end
-- A claim of an older epoch may be of a life that never was, since the disk is an older one: its sequence may stand
-- for what was handed over since, or its messages be held again. So may one whose holder was forgotten here meanwhile, which it
-- learns by a refusal, and which says no epoch from then on. Then the entry stays while anything of it is held.
for i = 7, first - 1, 2 do
  local holds = false
  if refused or ARGV[i + 1] ~= EPOCH then
    local lease = ARGV[3] .. ARGV[i]
    for id in string.gmatch(CALL('HGET', run, ARGV[i]) or '', '[^\n]+') do
      local head = CALL('GETRANGE', P .. 'r:' .. id, 1, 51)
      holds = holds or (string.sub(head, 1, 1) == 'T' and string.sub(head, 22) == lease)
    end
  end
  if not holds then CALL('HDEL', run, ARGV[i]) end
end
if ENDED > 0 then finish_all() elseif again then tell_callers() end
sweep(2 * n + 2, 0)
if LISTENED then tell_events() end
return table.concat(verdicts)
