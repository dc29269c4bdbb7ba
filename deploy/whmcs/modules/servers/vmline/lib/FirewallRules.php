<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * Firewall rules, one a line:
 *
 *     in ACCEPT tcp 80,443 from 192.0.2.0/24 # web
 *     in ACCEPT SSH
 *     out DROP
 *
 * After direction and action come a protocol with destination ports, or a macro of Proxmox (upper case first), then
 * from, to and sport with a value each.
 */
final class FirewallRules
{
    private const WORDS = ['from' => 'source', 'to' => 'destination', 'sport' => 'source_port', 'dport' => 'destination_port'];

    /**
     * @return list<array<string,string>>
     * @throws Failure
     */
    public static function parse(string $text): array
    {
        $rules = [];
        foreach (preg_split('/\R/', $text) ?: [] as $i => $line) {
            [$line, $comment] = array_map('trim', array_pad(explode('#', $line, 2), 2, ''));
            if ($line !== '') {
                $rules[] = self::rule($line, $i + 1) + ($comment === '' ? [] : ['comment' => $comment]);
            }
        }
        return $rules;
    }

    /** @return array<string,string> */
    private static function rule(string $line, int $number): array
    {
        $words = preg_split('/\s+/', $line) ?: [];
        $rule = ['direction' => strtolower((string) array_shift($words)), 'action' => strtoupper((string) array_shift($words))];
        if (!in_array($rule['direction'], ['in', 'out'], true) || !in_array($rule['action'], ['ACCEPT', 'DROP', 'REJECT'], true)) {
            throw new Failure("Line $number of the firewall rules: it begins with in or out, then ACCEPT, DROP or REJECT.");
        }
        if ($words && !isset(self::WORDS[strtolower($words[0])])) {
            $what = array_shift($words);
            $rule[ctype_upper($what[0]) ? 'macro' : 'protocol'] = $what;
            if ($words && !isset(self::WORDS[strtolower($words[0])])) {
                $rule['destination_port'] = array_shift($words);
            }
        }
        while ($words) {
            $name = self::WORDS[strtolower((string) array_shift($words))] ?? null;
            if ($name === null || !$words) {
                throw new Failure("Line $number of the firewall rules: after the ports come only from, to, sport and dport with a value each.");
            }
            $rule[$name] = (string) array_shift($words);
        }
        return $rule;
    }
}
