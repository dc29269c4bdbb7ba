-- Adds to an index that is being built.
-- KEYS: marker, building, new free, new given, new owners.
-- ARGV: our token, our next token, then in turn a number and its owner, or a free range and ''.
-- Returns 1, or nil when the build is not ours any more.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return false end
redis.call('SET', KEYS[2], ARGV[2])
for i = 3, #ARGV, 2 do
  local n, owner = ARGV[i], ARGV[i + 1]
  if owner == '' then
    redis.call('RPUSH', KEYS[3], n)
  elseif redis.call('HSETNX', KEYS[4], n, owner) == 1 then
    local list = redis.call('HGET', KEYS[5], owner)
    redis.call('HSET', KEYS[5], owner, list and list .. ' ' .. n or n)
  end
end
return 1
