-- Ends runs: an outcome, or a release, each only with the token of its claim. Repeating one answers OK.
-- flags: allow-oom
-- parts: epoch, moves, ready, finish, sweep
-- KEYS[1] prefix  ARGV: epoch, now_ms, holder, build, seconds to keep a dead letter, k, then k times
--   a claim's sequence and epoch, of claims that are done with,
--   then per message: id, token (50), new state (a letter), outcome
--   The outcome of a release (P) is ''; of a parking (S) the ms until which it may wait, if not parked before.
-- Returns a string, a letter per message: 'o' done, 'r' done before, 'z' refused (not the holder's any more).
local run = P .. 'run:' .. ARGV[3]
local build = ARGV[4]
DEAD_TTL = string.format('%08x', tonumber(ARGV[5]))
local first = 7 + 2 * tonumber(ARGV[6])
local n = (#ARGV - first + 1) / 4
local keys = {}
for i = 1, n do keys[i] = P .. 'r:' .. ARGV[first + 4 * (i - 1)] end
local records = n > 0 and CALL('MGET', unpack(keys)) or {}
local written, released, verdicts, w = {}, {}, {}, 0

for i = 1, n do
  local at = first + 4 * (i - 1)
  local id, token, op, out = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local rec = records[i]
  local verdict = 'z'
  if rec and string.sub(rec, 2, 2) == 'T' and string.sub(rec, 3, 52) == token then
    if not may_move('T', op) then return redis.error_reply('BADMOVE T' .. op) end
    verdict = 'o'
    w = w + 1
    written[2 * w - 1] = keys[i]
    if is_final(op) then
      written[2 * w] = final(id, rec, op, out)
    elseif op == 'P' then
      rec = '1P' .. version_after(string.sub(rec, 3, 10)) .. string.sub(rec, 11)
      written[2 * w] = rec
      released[#released + 1] = {id, rec}
    elseif op == 'S' then
      -- parked: keep the first deadline, so that it cannot be parked for ever
      local due = tonumber(string.sub(rec, 75, 86), 16)
      if due == 0 then due = tonumber(out) end
      local version = version_after(string.sub(rec, 3, 10))
      written[2 * w] = '1S' .. version .. string.sub(rec, 11, 74) .. string.format('%012x', due) .. string.sub(rec, 87)
      CALL('ZADD', P .. 'd', due, id .. ':' .. version)
      CALL('HSET', P .. 'parked', id, build .. ':' .. version)
    else
      return redis.error_reply('BADMOVE T' .. op)
    end
  elseif rec and string.sub(rec, 2, 2) == op and is_final(op) and string.sub(rec, 11, 52) == string.sub(token, 9, 50) then
    verdict = 'r'
  end
  verdicts[i] = verdict
end

if w > 0 then CALL('MSET', unpack(written)) end
for i = #released, 1, -1 do make_ready(released[i][1], released[i][2], true) end
-- A claim of an older epoch may be of a life that never was, since the disk is an older one: its sequence may stand
-- for what was handed over since, or its messages be held again. Then the entry stays while anything of it is held.
for i = 7, first - 1, 2 do
  local holds = false
  if ARGV[i + 1] ~= EPOCH then
    local lease = ARGV[3] .. ARGV[i]
    for id in string.gmatch(CALL('HGET', run, ARGV[i]) or '', '[^\n]+') do
      local head = CALL('GETRANGE', P .. 'r:' .. id, 1, 51)
      holds = holds or (string.sub(head, 1, 1) == 'T' and string.sub(head, 22) == lease)
    end
  end
  if not holds then CALL('HDEL', run, ARGV[i]) end
end
if ENDED > 0 then finish_all() end
sweep(2 * n + 2, 0)
return table.concat(verdicts)
