<?php

namespace WHMCS\Module\Server\Vmline;

/**
 * The buttons on the services tab: which commands are possible now, and what they take.
 */
final class ButtonPanel
{
    /** What an admin can enter for the next command. */
    public const INPUTS = ['template' => 'Template', 'node' => 'Node', 'vmid' => 'VM ID', 'status' => 'Status', 'reason' => 'Reason'];

    public const MAX_INPUT = 64;

    private const MARKS = '<br><small>* works on a running machine too, ** only on a stopped one, -&gt; goes on with the creation</small>';

    /** WHMCS's own buttons of the module get the same state. */
    private const SCRIPT = <<<'JS'
        <script>
        (function (refused) {
          function apply() {
            document.querySelectorAll('[onclick*="runModuleCommand"]').forEach(function (button) {
              var called = /'custom'\s*,\s*'(\w+)'/.exec(button.getAttribute('onclick'));
              if (called && called[1] in refused) { button.disabled = true; button.title = refused[called[1]]; }
            });
          }
          if (document.readyState === 'loading') { document.addEventListener('DOMContentLoaded', apply); } else { apply(); }
        }(%s));
        </script>
        JS;

    /**
     * A button for each command; those that the gateway would refuse now are off and say why. They press WHMCS's own.
     *
     * @param array<array-key,mixed> $actions of the gateway: type, allowed, reason
     */
    public static function buttons(array $actions): string
    {
        $refused = self::refused($actions);
        $html = '';
        foreach (Buttons::verbs() as $verb) {
            $function = Buttons::function($verb);
            $html .= sprintf(
                '<button type="button" class="btn btn-default btn-sm" onclick="runModuleCommand(\'custom\',\'%s\')" title="%s"%s>%s</button> ',
                $function,
                Html::text($refused[$function] ?? ''),
                isset($refused[$function]) ? ' disabled' : '',
                Html::text(Buttons::label($verb))
            );
        }
        return $html . self::MARKS . sprintf(self::SCRIPT, Html::json((object) $refused));
    }

    /** @param array<string,string> $entered */
    public static function inputs(array $entered): string
    {
        $html = '';
        foreach (self::INPUTS as $name => $label) {
            $html .= sprintf(
                '<label>%s <input type="text" name="modulefields[vmline_%s]" value="%s" maxlength="%d" size="12"></label> ',
                $label,
                $name,
                Html::text($entered[$name] ?? ''),
                self::MAX_INPUT
            );
        }
        return $html . '<br><small>Save Changes, then press the command: ' . Html::text(self::takers()) . '.</small>';
    }

    /**
     * @param array<array-key,mixed> $actions
     * @return array<string,string> function => why not now
     */
    private static function refused(array $actions): array
    {
        $refused = [];
        foreach ($actions as $action) {
            $action = (array) $action;
            $verb = (string) ($action['type'] ?? '');
            if (in_array($verb, Buttons::verbs(), true) && empty($action['allowed'])) {
                $refused[Buttons::function($verb)] = (string) ($action['reason'] ?? '') ?: 'Not possible now.';
            }
        }
        return $refused;
    }

    /** Which commands take what. */
    private static function takers(): string
    {
        $takers = [];
        foreach (Buttons::verbs() as $verb) {
            $taken = array_map(static fn (string $name): string => self::INPUTS[$name], Buttons::options($verb));
            if ($taken !== []) {
                $takers[] = Buttons::label($verb) . ' takes ' . implode(' and ', $taken);
            }
        }
        return implode(', ', $takers);
    }
}
