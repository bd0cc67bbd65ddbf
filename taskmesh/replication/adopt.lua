-- Turns what a node alone holds into the copy of a mesh of several, in steps: lists what is final, and writes down beside each
-- record what only its indexes said. Only who makes such a mesh does that.
-- flags: allow-oom
-- parts: epoch, moves
-- KEYS[1] prefix  ARGV: epoch, now_ms, cursor ('0' = begin), about how many keys
-- Returns the cursor of the next step; '0' = that was all. A repeat changes nothing.
local cursor, found = unpack(CALL('SCAN', ARGV[3], 'COUNT', ARGV[4]))
local R = P .. 'r:'
for i = 1, #found do
  if string.sub(found[i], 1, #R) == R then
    local id = string.sub(found[i], #R + 1)
    local rec = CALL('GETRANGE', found[i], 0, 107)
    local expires, unique, mode, until_ms, sequence, position = '', '', '', '', '', ''
    if is_final(string.sub(rec, 2, 2)) then
      CALL('SADD', P .. 'F:' .. string.sub(rec, 53, 56), id)
    else
      expires = CALL('ZSCORE', P .. 'e', id) or ''
      local gates = CALL('HGET', P .. 'gate', id) or ''
      unique, sequence = string.match(gates, 'u(%x+)') or '', string.match(gates, 's(%x+)') or ''
      if sequence ~= '' then position = CALL('ZSCORE', P .. 'sq:' .. sequence, id) or '0' end
      if unique ~= '' then
        mode = CALL('HEXISTS', P .. 'us', id) == 1 and 's' or 'f'
        local taken = CALL('HGET', P .. 'uq', unique)
        -- who does not hold its key any more never does again
        until_ms = taken and string.sub(taken, 13) == id and string.sub(taken, 1, 12) or string.rep('0', 12)
      end
    end
    local idempotency = CALL('HGET', P .. 'ikid', id) or ''
    local known = idempotency ~= '' and CALL('HGET', P .. 'ik', idempotency) or ''
    local task = string.match(string.sub(known, 33), ' (.*)$') or ''
    if expires .. unique .. idempotency .. sequence ~= '' then
      CALL('HSET', P .. 'side', id, table.concat(
        {expires, unique, mode, until_ms, idempotency, string.sub(known, 1, 32), task, sequence, position}, '|'))
    end
  end
end
return cursor
