-- Makes numbers free again that are given to the owner; others are left alone.
-- KEYS: marker, free, given, owners. ARGV: layout, owner, then the numbers.
-- Returns 1, or nil while the index is closed.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return false end
local owner = ARGV[2]
local list = numbers_of(owner)
for i = 3, #ARGV do
  local n = ARGV[i]
  if redis.call('HGET', KEYS[3], n) == owner then
    redis.call('HDEL', KEYS[3], n)
    -- At the end: the number that was released last is given again last.
    redis.call('RPUSH', KEYS[2], n)
    list = without(list, n)
  end
end
store(owner, list)
return 1
