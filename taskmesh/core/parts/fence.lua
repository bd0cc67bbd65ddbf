-- What only a leader does: ARGV[3] = its token, which is taken away here. An older one than the node knows is not obeyed.
do
  local known, token = tonumber(CALL('GET', P .. 'leader') or 0), tonumber(ARGV[3])
  if token < known then return redis.error_reply('STALETOKEN ' .. string.format('%.0f', known)) end
  if token > known then CALL('SET', P .. 'leader', ARGV[3]) end
  table.remove(ARGV, 3)
end
