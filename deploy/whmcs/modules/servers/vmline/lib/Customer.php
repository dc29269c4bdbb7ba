<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * What a customer asks for on the product's page. Each is one short call: accepted or not.
 */
final class Customer
{
    /**
     * A button of the client area.
     *
     * @param array<string,mixed> $post
     */
    public static function press(array $params, string $verb, string $method, array $post): string
    {
        return Commands::run(static function () use ($params, $verb, $method, $post): void {
            self::checkForm($method);
            $options = [];
            if ($verb === 'reinstall') {
                $options = self::template($params, (string) ($post['template'] ?? ''));
                if (($post['confirm'] ?? '') !== 'reinstall') {
                    throw new Failure('Reinstalling deletes everything on the machine: tick the box to confirm it.');
                }
            }
            Commands::send($params, $verb, $options);
        });
    }

    /**
     * The customer's choice of the name that reverse records lead to.
     *
     * @param array<string,mixed> $post
     */
    public static function reverseDns(array $params, ReverseDns $reverse, string $method, array $post): string
    {
        return Commands::run(static function () use ($params, $reverse, $method, $post): void {
            self::checkForm($method);
            $ref = Commands::ref($params);
            $gateway = Gateway::of($params);
            $package = $reverse->change($gateway->service($ref), (string) ($post['ptr_name'] ?? ''));
            if (Commands::password($params) !== '') {
                $package['cloud_init']['password'] = Commands::password($params); // the gateway never tells it
            }
            $operation = $gateway->put($ref, $package);
            $name = (string) ($package['dns']['ptr_name'] ?? '');
            Record::accepted((int) $params['serviceid'], (int) ($params['serverid'] ?? 0), $operation, ['ptr_name' => $name]);
        });
    }

    /** A link in a mail, or a page elsewhere, must not do anything. */
    private static function checkForm(string $method): void
    {
        if ($method !== 'POST') {
            throw new Failure('Use the buttons on the page.');
        }
        if (function_exists('check_token')) {
            \check_token('WHMCS.default');
        }
    }

    /** @return array<string,string> */
    private static function template(array $params, string $wanted): array
    {
        if ($wanted === '') {
            return [];
        }
        if (!in_array($wanted, ConfigOptions::reinstallTemplates($params), true)) {
            throw new Failure('This template is not offered.');
        }
        return ['template' => $wanted];
    }
}
