-- Puts everything that a dead child held back in line, in bounded steps.
-- flags: allow-oom
-- parts: epoch, moves, ready, gates, buckets, finish, revoked, idle
-- KEYS[1] prefix  ARGV: epoch, now_ms, holder, by, id charged with the end of the child ('' = none), its token,
--   outcome if it ends by that ('' = it goes back in line with one crash more), '1' to have the others claimed singly,
--   seconds to keep a dead letter, letter of the state in which the charged one ends, k, then k times what may have begun
--   and must not begin again: id, token, outcome; then the queues on which the child may be registered as idle
--   Of those that end, only a dead letter (D) is charged with a crash. What was told to be revoked while it ran ends by that
--   instead of going back in line.
--   by: the incarnation that reaps. Its own children any time; another's only once that is declared dead.
-- Returns {messages put back in line (what ends by this is none of them), claims still to do}.
-- Errors: NOTDEAD the incarnation is not declared dead.
local holder, by, charged, token, outcome, singly = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8] == '1'
DEAD_TTL = string.format('%08x', tonumber(ARGV[9]))
local ending = ARGV[10]
if not may_move('T', ending) or not is_final(ending) then return redis.error_reply('BADMOVE T' .. ending) end
local incarnation = string.sub(holder, 1, 16)
if by ~= incarnation and CALL('HGET', P .. 'w:' .. incarnation, 'state') == 'live' then
  return redis.error_reply('NOTDEAD ' .. incarnation)
end
-- A claim that the child sent before it died may come later, while its worker lives: it must take nothing.
if CALL('HGET', P .. 'w:' .. incarnation, 'state') == 'live' then
  CALL('HSET', P .. 'w:' .. incarnation, 's' .. string.sub(holder, 17), 'ffffffff')
end
local lost = {}
for i = 12, 11 + 3 * tonumber(ARGV[11]), 3 do lost[ARGV[i]] = {ARGV[i + 1], ARGV[i + 2]} end
local queues = 12 + 3 * tonumber(ARGV[11])
-- What was given to the child with a wake-up that still lies there has not begun; nobody can take it from there any more.
if queues > 12 then
  for _, wake_up in ipairs(CALL('LRANGE', P .. 'wake:' .. holder, 0, -1)) do
    local hint = string.match(wake_up, '^h([^\n]*)')
    if hint then lost[string.sub(hint, 43, -10)] = nil end
  end
  CALL('UNLINK', P .. 'wake:' .. holder)
end
local run = P .. 'run:' .. holder
local fields = CALL('HKEYS', run)
table.sort(fields, function(a, b) return a > b end)
local count, back, done = 0, 0, 0

for f = 1, #fields do
  if count >= 500 then break end
  local seq = fields[f]
  -- what was claimed on another node stands under `~`, the slot, and the sequence
  local lease, ids = holder .. string.sub(seq, -8), {}
  for id in string.gmatch(CALL('HGET', run, seq), '[^\n]+') do ids[#ids + 1] = id end
  for i = #ids, 1, -1 do
    local id = ids[i]
    local key = P .. 'r:' .. id
    local rec = CALL('GET', key)
    if rec and string.sub(rec, 2, 2) == 'T' and string.sub(rec, 23, 52) == lease then
      count = count + 1
      local crashed = id == charged and string.sub(rec, 3, 52) == token
        and tonumber(string.sub(rec, 59, 60), 16)
      local revoked = not (crashed and outcome ~= '') and revoked_outcome(id, rec)
      if crashed and not revoked and (outcome == '' or ending == 'D') then
        local crashes = math.min(255, tonumber(string.sub(rec, 59, 60), 16) + 1)
        rec = string.sub(rec, 1, 58) .. string.format('%02x', crashes) .. string.sub(rec, 61)
      elseif singly and not crashed then
        local flags = tonumber(string.sub(rec, 62, 62), 16) or 0
        if math.floor(flags / 4) % 2 == 0 then flags = flags + 4 end
        rec = string.sub(rec, 1, 61) .. string.format('%x', flags) .. string.sub(rec, 63)
      end
      local over = lost[id]
      if over and string.sub(rec, 3, 52) ~= over[1] then over = nil end
      if crashed and outcome ~= '' then
        CALL('SET', key, final(id, rec, ending, outcome))
      elseif revoked then
        CALL('SET', key, final(id, rec, 'V', revoked))
      elseif over then
        CALL('SET', key, final(id, rec, 'D', over[2]))
      else
        rec = '1P' .. version_after(string.sub(rec, 3, 10)) .. string.sub(rec, 11)
        CALL('SET', key, rec)
        make_ready(id, rec, true)
        back = back + 1
      end
    end
  end
  CALL('HDEL', run, seq)
  done = done + 1
end
if ENDED > 0 then finish_all() end
idle_no_more(holder, queues)
CALL('UNLINK', P .. 'wake:' .. holder)
return {back, #fields - done}
