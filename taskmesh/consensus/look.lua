-- Tells what an instance is, admitted or not; for those who admit, and for people.
-- flags: no-writes
-- KEYS[1] prefix  ARGV: registers
-- Returns {id, run id when it was admitted, run id now, boot id, count, configuration, its members, 'sealed' or 'open', then for each
--   register: n, proposer, digest, value as accepted in that configuration}; empty texts for what it has not.
local P, CALL = KEYS[1], redis.call
local A = P .. 'ac:'
local known = CALL('HMGET', A .. 'instance', 'id', 'run', 'boot', 'count', 'configuration')
local C = A .. (known[5] or '0')
local state = CALL('HMGET', C, 'members', 'sealed')
local out = {
  known[1] or '', known[2] or '', string.match(CALL('INFO', 'server'), 'run_id:(%w+)') or '', known[3] or '', known[4] or '0',
  known[5] or '0', state[1] or '', state[2] == '1' and 'sealed' or state[2] and 'open' or '',
}
for i = 1, #ARGV do
  local r = CALL('HMGET', C .. ':r:' .. ARGV[i], 'an', 'ap', 'digest', 'value')
  for j = 1, 4 do out[#out + 1] = r[j] or (j < 3 and '0' or '') end
end
return out
