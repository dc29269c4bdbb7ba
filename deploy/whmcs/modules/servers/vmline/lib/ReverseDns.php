<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * The name that the reverse records of a machine lead to, where its customer chooses one.
 *
 * A name must lead to the machine before the machine's addresses may lead to it: else anybody could bear anybody's
 * name, and mail servers believe only names that lead both ways.
 */
final class ReverseDns
{
    private const NAME = '/^(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/D';

    /** @param \Closure(string,int):list<array<string,mixed>> $lookup like dns_get_record */
    public function __construct(private readonly \Closure $lookup)
    {
    }

    public static function real(): self
    {
        $quietly = static fn (string $name, int $types): array => @dns_get_record($name, $types) ?: []; // it warns when there is no such name
        return new self($quietly);
    }

    /**
     * The machine's package with another name; nothing else of it changes.
     *
     * @param array<string,mixed> $service as the gateway shows it
     * @param string $name empty, or the machine's own: back to that
     * @return array<string,mixed>
     * @throws Failure when the name cannot be
     */
    public function change(array $service, string $name): array
    {
        $package = self::withoutEmpty((array) ($service['package'] ?? []));
        if (empty($package['dns']['ptr'])) {
            throw new Failure('This product has no reverse DNS.');
        }
        $name = strtolower(rtrim(trim($name), '.'));
        unset($package['dns']['ptr_name']);
        if ($name !== '' && $name !== self::own($package)) {
            $this->check($name, (array) ($service['addresses'] ?? []));
            $package['dns']['ptr_name'] = $name;
        }
        return $package;
    }

    /** @param array<string,mixed> $package */
    public static function own(array $package): string
    {
        $domain = rtrim((string) ($package['dns']['domain'] ?? ''), '.');
        $name = (string) ($package['name'] ?? '');
        return $domain === '' || $name === '' ? '' : strtolower("$name.$domain");
    }

    /** @param array<array-key,mixed> $addresses */
    private function check(string $name, array $addresses): void
    {
        if (!preg_match(self::NAME, $name)) {
            throw new Failure('This is not a host name: it is made of letters, digits, hyphens and dots.');
        }
        $mine = array_map(static fn (mixed $a): string => self::packed(((array) $a)['address'] ?? ''), $addresses);
        $records = ($this->lookup)($name, DNS_A | DNS_AAAA);
        foreach ($records as $record) {
            $leads = self::packed($record['ip'] ?? $record['ipv6'] ?? '');
            if ($leads !== '' && in_array($leads, $mine, true)) {
                return;
            }
        }
        throw new Failure("$name does not lead to this machine yet. Give it an A or AAAA record with one of the machine's addresses, then try again.");
    }

    private static function packed(mixed $address): string
    {
        return filter_var($address, FILTER_VALIDATE_IP) === false ? '' : (string) inet_pton((string) $address);
    }

    /**
     * JSON's empty objects have become empty lists, which would not be objects again.
     *
     * @param array<string,mixed> $package
     * @return array<string,mixed>
     */
    private static function withoutEmpty(array $package): array
    {
        return array_filter($package, static fn (mixed $part): bool => $part !== []);
    }
}
