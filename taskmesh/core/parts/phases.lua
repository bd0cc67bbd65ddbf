-- The two phases for one register of configuration ARGV[2], behind part acceptor; ballots come as two words.

-- returns the word and what belongs to it, as prepare.lua says
local function promise(name, n_word, p_word)
  local n, p = tonumber(n_word), tonumber(p_word)
  local pn, pp, an, ap, digest, value = register(name)
  if n > pn + JUMP_MAX or n > N_MAX then return {'AHEAD', whole(pn)} end
  -- an equal ballot is refused as well: a proposer that lost its memory must not hear its old promise again
  if not above(n, p, pn, pp) then return {'CONFLICT', whole(pn), whole(pp)} end
  count()
  CALL('HSET', C .. ':r:' .. name, 'pn', n_word, 'pp', p_word)
  -- listed without a count: it has nothing to tell, but is to be dropped one day
  CALL('ZADD', C .. ':names', 'NX', '0', name)
  return {'PROMISED', whole(an), whole(ap), digest, value}
end

-- returns the word and what belongs to it, as accept.lua says
local function take(name, n_word, p_word, new_digest, new_value, promise_next)
  local n, p = tonumber(n_word), tonumber(p_word)
  local pn, pp, an, ap, digest = register(name)
  if n == an and p == ap then
    if digest == new_digest then return {'ACCEPTED'} end
    return {'FAULT', digest}
  end
  if above(pn, pp, n, p) then return {'CONFLICT', whole(pn), whole(pp)} end
  if n > pn + JUMP_MAX or n > N_MAX then return {'AHEAD', whole(pn)} end
  local at = count()
  local promised = promise_next and whole(n + 1) or n_word
  CALL('HSET', C .. ':r:' .. name, 'pn', promised, 'pp', p_word, 'an', n_word, 'ap', p_word, 'digest', new_digest, 'value', new_value)
  CALL('ZADD', C .. ':names', at, name)
  return {'ACCEPTED'}
end
